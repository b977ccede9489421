"""Decodes images far enough to verify that they are intact, and re-encodes those that TensorFlow would misread."""
