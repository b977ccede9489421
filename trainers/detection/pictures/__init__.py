"""Pictures of a detector's results on the validation images."""
