"""The losses of the heads, in TensorFlow."""
