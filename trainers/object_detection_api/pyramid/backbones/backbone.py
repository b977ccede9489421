"""Backbone: the description of an image classifier without its head, whose feature maps a neck takes. No TensorFlow."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# of the pixels of ImageNet's training images, RGB in 0..255
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STDDEV = (58.395, 57.12, 57.375)
# of the same in the weights that Caffe's models began with, which subtract a mean alone
CAFFE_MEAN = (123.68, 116.779, 103.939)
NO_SCALE = (1.0, 1.0, 1.0)
DETECTION_DEPTH = 99  # of variables that the published classifier does not have


@dataclass(frozen=True)
class PublishedFile:
    """A file of published weights. address: its URL. digest: "md5:..." or "sha256:...", in hexadecimal."""

    address: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """The description of a backbone.

    name: the word for it in recipes. title: the name under which it was published.
    network: "module:callable" that builds it, called with `settings` and drop_path (a DropPath); returns a tf_keras
        Model from normalised images (B, H, W, 3) to its feature maps C3, C4 and C5, of strides 8, 16 and 32.
    mean, stddev: by which RGB in 0..255 is normalised. bgr: whether the network takes blue first.
    weights: published weights of ImageNet training, without the classifier.
    parameters: number of scalars. cost: seconds of its gradient step relative to resnet50's, measured on a CPU.
    drop_path: whether it has residual branches that may be dropped at random.
    layers: the depth of its last layers, where its first ones have 0, for layer-wise rate decay.
    depth_of: "module:callable" from a variable's name and `settings` to its depth, 0 to `layers`, or more for what
        detection adds to the network (DETECTION_DEPTH).
    """

    name: str
    title: str
    network: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    stddev: tuple[float, float, float] = IMAGENET_STDDEV
    bgr: bool = False
    weights: PublishedFile | None = None
    parameters: int = 0
    cost: float = 1.0
    drop_path: bool = False
    layers: int = 4
    depth_of: str

    def build(self, drop_path: Any) -> Any:
        """The tf_keras Model. drop_path: a networks.drop_path.DropPathState."""
        return _callable(self.network)(drop_path=drop_path, **self.settings)

    def depth(self, variable: str) -> int:
        """The depth of a variable of the network by its name, 0 to `layers`; `layers` + 1 for what detection adds."""
        found = int(_callable(self.depth_of)(variable))
        return self.layers + 1 if found == DETECTION_DEPTH else min(found, self.layers)


def _callable(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
