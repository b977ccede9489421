"""The Object Detection API's 39 augmentations: all options of `preprocessor.proto` with their defaults and ranges.

With this table a recipe can be validated without TensorFlow; a test compares it with the proto. The ranges are those
that `core/preprocessor.py` (2.8.0) and the operations it calls accept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Option:
    """One option of an augmentation.

    kind: "float", "int", "bool", "choice" (one of `choices`), "floats" or "ints" (a list of numbers in the range), or
        "operations" (a list of mappings of `fields`).
    default: the proto's default; None if it has none. Such an option may be left out unless it is `required`.
    low, high: the range, including its ends unless `open_low` or `open_high`.
    length: length of a list; None for any.
    """

    kind: Literal["float", "int", "bool", "choice", "floats", "ints", "operations"]
    default: float | bool | str | None = None
    low: float = -math.inf
    high: float = math.inf
    required: bool = False
    open_low: bool = False
    open_high: bool = False
    choices: tuple[str, ...] = ()
    length: int | None = None
    fields: Mapping[str, Option] = field(default_factory=dict)

    @property
    def allowed(self) -> str:
        """The allowed values in words: `a number in [0, 1]`."""
        if self.kind == "bool":
            return "true or false"
        if self.kind == "choice":
            return f"one of {', '.join(self.choices)}"
        if self.kind == "operations":
            return f"a list of mappings of {', '.join(self.fields)}"
        noun = {"float": "a number", "int": "a whole number"}.get(
            self.kind, f"a list of {self.length or 'some'} numbers"
        )
        left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"{noun} in {left}{self.low:.10g}, {self.high:.10g}{right}"


def _positive(default: float | None, high: float, *, required: bool = False) -> Option:
    return Option("float", default, 0, high, required=required, open_low=True)


def _probability(default: float | None, *, required: bool = False) -> Option:
    return Option("float", default, 0, 1, required=required)


def _factor(default: float) -> Option:
    return Option("float", default, 0, 10)


def _pixels(default: int | None = None, *, required: bool = False) -> Option:
    return Option("int", default, 1, 4096, required=required)


_BOOL = Option("bool", True)
_COLOR = Option("floats", None, 0, 255, length=3)
_LABEL = Option("int", None, 1, 1_000_000, required=True)
_PERMUTATION = Option("ints", None, 0, 1_000)
_PADDED_RATIO = Option("floats", None, 0, 10, open_low=True, length=2)
# not 0: the API turns a probability of 0 into None, which it cannot compare
_FLIP = _positive(0.5, 1)

_CROP = {
    "min_object_covered": _probability(1.0),
    "min_aspect_ratio": _positive(0.75, 100),
    "max_aspect_ratio": _positive(1.33, 100),
    "min_area": _positive(0.1, 1),
    "max_area": _positive(1.0, 1),
    "overlap_thresh": _probability(0.3),
    "clip_boxes": _BOOL,
    "random_coef": _probability(0.0),
}
# required, because the proto has no defaults for operations: unset numbers would be 0, and an area of 0 is invalid
_OPERATION = {
    "min_object_covered": _probability(None, required=True),
    "min_aspect_ratio": _positive(None, 100, required=True),
    "max_aspect_ratio": _positive(None, 100, required=True),
    "min_area": _positive(None, 1, required=True),
    "max_area": _positive(None, 1, required=True),
    "overlap_thresh": _probability(None, required=True),
    "clip_boxes": _BOOL,
    "random_coef": _probability(None),
}
_PAD_OPERATION = _OPERATION | {
    "min_padded_size_ratio": Option("floats", None, 0, 10, required=True, open_low=True, length=2),
    "max_padded_size_ratio": Option("floats", None, 0, 10, required=True, open_low=True, length=2),
    "pad_color_r": Option("float", None, 0, 255),
    "pad_color_g": Option("float", None, 0, 255),
    "pad_color_b": Option("float", None, 0, 255),
}
_FIXED_OPERATION = {name: _OPERATION[name] for name in _OPERATION if "aspect_ratio" not in name}
_JITTERS = (
    "DEFAULT", "EXPAND", "SHRINK", "EXPAND_SYMMETRIC", "SHRINK_SYMMETRIC",
    "EXPAND_SYMMETRIC_XY", "SHRINK_SYMMETRIC_XY",
)  # fmt: skip
_RESIZES = ("AREA", "BICUBIC", "BILINEAR", "NEAREST_NEIGHBOR")


def _scale(low: str, default_low: float, high: str, default_high: float) -> dict[str, Option]:
    return {low: _positive(default_low, 10), high: _positive(default_high, 10)}


def _operations(fields: Mapping[str, Option]) -> dict[str, Option]:
    return {"operations": Option("operations", fields=fields)}


AUGMENTATIONS: Mapping[str, Mapping[str, Option]] = {
    "normalize_image": {
        "original_minval": Option("float", None, -1e6, 1e6, required=True),
        "original_maxval": Option("float", None, -1e6, 1e6, required=True),
        "target_minval": Option("float", 0.0, -1e6, 1e6),
        "target_maxval": Option("float", 1.0, -1e6, 1e6),
    },
    "random_horizontal_flip": {"keypoint_flip_permutation": _PERMUTATION, "probability": _FLIP},
    "random_pixel_value_scale": {
        "minval": _factor(0.9),
        "maxval": _factor(1.1),
    },
    "random_image_scale": _scale("min_scale_ratio", 0.5, "max_scale_ratio", 2.0),
    "random_rgb_to_gray": {"probability": _probability(0.1)},
    "random_adjust_brightness": {"max_delta": Option("float", 0.2, 0, 1, open_high=True)},
    "random_adjust_contrast": {
        "min_delta": _factor(0.8),
        "max_delta": _factor(1.25),
    },
    "random_adjust_hue": {"max_delta": Option("float", 0.02, 0, 0.5)},
    "random_adjust_saturation": {
        "min_delta": _factor(0.8),
        "max_delta": _factor(1.25),
    },
    "random_distort_color": {"color_ordering": Option("int", None, 0, 1)},
    "random_jitter_boxes": {
        "ratio": _probability(0.05),
        "jitter_mode": Option("choice", "DEFAULT", choices=_JITTERS),
    },
    "random_crop_image": _CROP,
    "random_pad_image": {
        "min_image_height": _pixels(),
        "min_image_width": _pixels(),
        "max_image_height": _pixels(),
        "max_image_width": _pixels(),
        "pad_color": _COLOR,
    },
    "random_crop_pad_image": _CROP
    | {"min_padded_size_ratio": _PADDED_RATIO, "max_padded_size_ratio": _PADDED_RATIO, "pad_color": _COLOR},
    "random_crop_to_aspect_ratio": {
        "aspect_ratio": _positive(1.0, 100),
        "overlap_thresh": _probability(0.3),
        "clip_boxes": _BOOL,
    },
    "random_black_patches": {
        "max_black_patches": Option("int", 10, 0, 100),
        "probability": _probability(0.5),
        "size_to_image_ratio": Option("float", 0.1, 0, 1, open_high=True),
    },
    "random_resize_method": {"target_height": _pixels(required=True), "target_width": _pixels(required=True)},
    "scale_boxes_to_pixel_coordinates": {},
    "resize_image": {
        "new_height": _pixels(required=True),
        "new_width": _pixels(required=True),
        "method": Option("choice", "BILINEAR", choices=_RESIZES),
    },
    "subtract_channel_mean": {"means": Option("floats", None, 0, 255, required=True, length=3)},
    "ssd_random_crop": _operations(_OPERATION),
    "ssd_random_crop_pad": _operations(_PAD_OPERATION),
    "ssd_random_crop_fixed_aspect_ratio": _operations(_FIXED_OPERATION)
    | {"aspect_ratio": _positive(1.0, 100)},
    "ssd_random_crop_pad_fixed_aspect_ratio": _operations(_OPERATION)
    | {
        "aspect_ratio": _positive(1.0, 100),
        "min_padded_size_ratio": _PADDED_RATIO,
        "max_padded_size_ratio": _PADDED_RATIO,
    },
    "random_vertical_flip": {"keypoint_flip_permutation": _PERMUTATION, "probability": _FLIP},
    "random_rotation90": {"keypoint_rot_permutation": _PERMUTATION, "probability": _FLIP},
    "rgb_to_gray": {},
    "convert_class_logits_to_softmax": {"temperature": _positive(1.0, 1000)},
    "random_absolute_pad_image": {
        "max_height_padding": _pixels(),
        "max_width_padding": _pixels(),
        "pad_color": _COLOR,
    },
    "random_self_concat_image": {
        "concat_vertical_probability": _probability(0.1),
        "concat_horizontal_probability": _probability(0.1),
    },
    "autoaugment_image": {"policy_name": Option("choice", "v0", choices=("v0", "v1", "v2", "v3", "test"))},
    "drop_label_probabilistically": {"label": _LABEL, "drop_probability": _probability(1.0)},
    "remap_labels": {
        "original_labels": Option("ints", None, 1, 1_000_000, required=True),
        "new_label": _LABEL,
    },
    "random_jpeg_quality": {
        "random_coef": _probability(0.0),
        "min_jpeg_quality": Option("int", 0, 0, 100),
        "max_jpeg_quality": Option("int", 100, 0, 100),
    },
    "random_downscale_to_target_pixels": {
        "random_coef": _probability(0.0),
        "min_target_pixels": Option("int", 300_000, 1, 2**24),
        "max_target_pixels": Option("int", 500_000, 1, 2**24),
    },
    "random_patch_gaussian": {
        "random_coef": _probability(0.0),
        "min_patch_size": _pixels(1),
        "max_patch_size": _pixels(250),
        "min_gaussian_stddev": _probability(0.0),
        "max_gaussian_stddev": _probability(1.0),
    },
    "random_square_crop_by_scale": {
        "max_border": _pixels(128),
        **_scale("scale_min", 0.6, "scale_max", 1.3),
        "num_scales": Option("int", 8, 1, 1000),
    },
    "random_scale_crop_and_pad_to_square": {
        "output_size": _pixels(512),
        **_scale("scale_min", 0.1, "scale_max", 2.0),
    },
    "adjust_gamma": {"gamma": _factor(1.0), "gain": _factor(1.0)},
}
