"""The networks of the necks, in tf_keras; they import TensorFlow."""
