"""TFRecord files: written in parallel, read without TensorFlow."""
