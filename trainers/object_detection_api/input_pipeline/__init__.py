"""TFRecord files to training and validation batches, through the API's own decoder and augmentations."""
