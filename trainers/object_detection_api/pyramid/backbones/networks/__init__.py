"""Builders of the backbones' networks, in tf_keras; they import TensorFlow."""
