"""Detail: the size at which large photographs are kept once they are decoded, as a recipe can use no more of them.

A photograph of 12 megapixels costs every augmentation forty times what the network's input of 640 x 480 px would. So it
is shrunk when it is decoded, with anti-aliasing, to the input's size times the largest zoom of the augmentations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from trainers.augmentations.zoom import largest_zoom
from trainers.object_detection_api import architectures
from trainers.recipe import Recipe

# zooms are rounded up to powers of this, so that trials with similar crops share their decoded images
ZOOM_STEP = math.sqrt(2)
# an image that would keep more than this of its sides is left as it is
WORTH = 0.75


@dataclass(frozen=True)
class Detail:
    """The size that an image need not exceed.

    side: pixels, of its shorter side; of its longer one if `longer`, where the network's input keeps the image's shape.
    """

    side: int
    longer: bool = False

    @property
    def key(self) -> str:
        """A part of file names that differs between details."""
        return f"{'longer' if self.longer else 'shorter'}-{self.side}"

    def shrunk(self, image: tf.Tensor) -> tf.Tensor:
        """The image, (H, W, 3) uint8, averaged over areas to this size; as it is if it is hardly larger."""
        shape = tf.shape(image)[:2]
        side = tf.reduce_max(shape) if self.longer else tf.reduce_min(shape)
        ratio = self.side / side
        size = tf.cast(tf.math.ceil(tf.cast(shape, tf.float64) * ratio - 1e-6), tf.int32)

        def smaller() -> tf.Tensor:
            found = tf.image.resize(image, size, tf.image.ResizeMethod.AREA)
            return tf.cast(tf.round(found), tf.uint8)

        return tf.cond(ratio > WORTH, lambda: image, smaller)


def detail_of(recipe: Recipe, model_config: Any) -> Detail | None:
    """What a recipe can use of an image; None for all of it. model_config: its `model_pb2.DetectionModel`."""
    zoom = largest_zoom(recipe.augmentations, recipe.image_size)
    if zoom is None:
        return None
    steps = math.ceil(math.log(zoom, ZOOM_STEP) - 1e-9)
    resizer = architectures.of(model_config).image_resizer(model_config)
    keeps_shape = resizer.WhichOneof("image_resizer_oneof") == "keep_aspect_ratio_resizer"
    return Detail(math.ceil(recipe.image_size * ZOOM_STEP**steps), keeps_shape)
