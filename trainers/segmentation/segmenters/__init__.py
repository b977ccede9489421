"""The segmentation models, one module each; importing this package registers them."""

from trainers.segmentation.segmenters import fcn

__all__ = ["fcn"]
