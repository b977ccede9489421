"""The input pipeline: from TFRecord files to batches, with the API's own decoder and augmentations."""
