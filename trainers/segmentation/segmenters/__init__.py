"""The segmentation models, one module each; importing this package registers them."""

from trainers.segmentation.segmenters import fcn, unet

__all__ = ["fcn", "unet"]
