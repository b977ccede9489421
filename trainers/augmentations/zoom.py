"""Zoom: how many times augmentations may magnify an image, and so how much of its detail reaches the network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from trainers.augmentations import Augmentation

# They show the whole image, or make it smaller. random_image_scale is followed by the resizing to the network's input.
_WHOLE_IMAGE = frozenset(
    {
        "normalize_image", "random_horizontal_flip", "random_vertical_flip", "random_rotation90",
        "random_pixel_value_scale", "random_image_scale", "random_rgb_to_gray", "rgb_to_gray",
        "random_adjust_brightness", "random_adjust_contrast", "random_adjust_hue", "random_adjust_saturation",
        "random_distort_color", "random_jitter_boxes", "random_black_patches", "subtract_channel_mean",
        "random_self_concat_image", "drop_label_probabilistically", "remap_labels", "adjust_gamma",
        "convert_class_logits_to_softmax",
    }
)  # fmt: skip
_CROPS = ("random_crop_image", "random_crop_pad_image")
_CROPS_OF_OPERATIONS = (
    "ssd_random_crop", "ssd_random_crop_pad", "ssd_random_crop_fixed_aspect_ratio",
    "ssd_random_crop_pad_fixed_aspect_ratio",
)  # fmt: skip


def largest_zoom(augmentations: Iterable[Augmentation], image_size: int) -> float | None:
    """The largest factor, at least 1, by which they magnify an image's sides on its way to the network.

    None if they depend on the image's size in pixels, so that a smaller image would not do.
    image_size: side of the network's input, pixels.

    A crop counts as one of the image's own shape: a crop of the area a magnifies by 1 / sqrt(a). A flatter or narrower
    one magnifies one side more, and the other less.
    """
    zoom = 1.0
    for each in augmentations:
        factor = _zoom(each.name, each.options, image_size)
        if factor is None:
            return None
        zoom *= factor
    return zoom


def _zoom(name: str, options: Mapping[str, Any], image_size: int) -> float | None:
    if name in _WHOLE_IMAGE or (name == "random_pad_image" and not _in_pixels(options)):
        return 1.0
    if name in _CROPS:
        return 1 / math.sqrt(float(options["min_area"]))
    if name in _CROPS_OF_OPERATIONS and "operations" in options:
        return 1 / math.sqrt(min(float(each["min_area"]) for each in options["operations"]))
    if name == "random_scale_crop_and_pad_to_square":
        larger = max(1.0, float(options["output_size"]) / image_size)
        return max(1.0, float(options["scale_max"])) * larger
    return None


def _in_pixels(options: Mapping[str, Any]) -> bool:
    return any(option.endswith(("_height", "_width")) for option in options)
