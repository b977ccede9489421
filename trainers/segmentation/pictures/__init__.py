"""Pictures of a segmentation model's results on the validation images."""
