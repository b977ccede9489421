"""TFRecord files of checked images, written in parallel and read without TensorFlow."""
