"""Augmentations: each one is a switch, with its strength as conditional parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces.parts.parameters import IntRange, Range, Trial, switch
from trainers.augmentations import Augmentation
from trainers.errors import UserError


@dataclass(frozen=True)
class Choice:
    """One of the Object Detection API's augmentations, with the ranges of its options.

    api: its name in the API. strength: option -> range; each is a parameter `<name>.<option>`.
    fixed: option -> value that does not vary. side: the option to set to the recipe's image size, in pixels.
    """

    api: str
    strength: Mapping[str, Range | IntRange] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    side: str | None = None


# In the order in which they are applied. The ranges include the zoo's and the published values (published.py), and end
# where objects in dark images can no longer be recognised.
AUGMENTATIONS: dict[str, Choice] = {
    "flip": Choice("random_horizontal_flip", fixed={"probability": 0.5}),
    "image_scale": Choice(
        "random_image_scale", {"min_scale_ratio": Range(0.5, 1.0), "max_scale_ratio": Range(1.0, 2.2)}
    ),
    # the crop of the zoo's SSDs: any region, with objects cut at its border
    "crop": Choice(
        "random_crop_image",
        {"min_area": Range(0.3, 0.95), "max_aspect_ratio": Range(1.33, 3.0)},
        fixed={"min_object_covered": 0.0, "min_aspect_ratio": 0.75, "max_area": 1.0, "overlap_thresh": 0.0},
    ),
    # the zoo's scale jitter for padded square inputs; scales down to a tenth suit only long trainings at 640 px
    "scale_crop": Choice(
        "random_scale_crop_and_pad_to_square",
        {"scale_min": Range(0.1, 1.0), "scale_max": Range(1.0, 2.0)},
        side="output_size",
    ),
    "mild_scale_crop": Choice(
        "random_scale_crop_and_pad_to_square",
        {"scale_min": Range(0.6, 1.0), "scale_max": Range(1.0, 1.5)},
        side="output_size",
    ),
    # onto a canvas of up to twice the side: objects become smaller
    "pad": Choice("random_pad_image"),
    "brightness": Choice("random_adjust_brightness", {"max_delta": Range(0.02, 0.3)}),
    "contrast": Choice(
        "random_adjust_contrast", {"min_delta": Range(0.6, 1.0), "max_delta": Range(1.0, 1.4)}
    ),
    "hue": Choice("random_adjust_hue", {"max_delta": Range(0.005, 0.08)}),
    "saturation": Choice(
        "random_adjust_saturation", {"min_delta": Range(0.6, 1.0), "max_delta": Range(1.0, 1.4)}
    ),
    "gray": Choice("random_rgb_to_gray", {"probability": Range(0.05, 0.4)}),
    "black_patches": Choice(
        "random_black_patches",
        {"max_black_patches": IntRange(1, 15), "size_to_image_ratio": Range(0.05, 0.2)},
        fixed={"probability": 0.5},
    ),
}

PHOTOMETRIC = ("brightness", "contrast", "hue", "saturation", "gray")


def suggest(trial: Trial, names: Iterable[str], image_size: int) -> list[dict[str, Any]]:
    """The `augmentations` of a Recipe. names: keys of AUGMENTATIONS to choose from; UserError for another name."""
    offered = set(names)
    if unknown := sorted(offered - AUGMENTATIONS.keys()):
        raise UserError(f"unknown augmentation '{unknown[0]}'; known are {', '.join(AUGMENTATIONS)}")
    chosen = []
    for name, choice in AUGMENTATIONS.items():
        if name not in offered or not switch(trial, name):
            continue
        options = dict(choice.fixed)
        options |= {
            option: values.suggest(trial, f"{name}.{option}") for option, values in choice.strength.items()
        }
        if choice.side:
            options[choice.side] = image_size
        chosen.append({"name": choice.api, "options": options})
    return chosen


def express(
    augmentations: Iterable[Mapping[str, Any]], names: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """The inverse of `suggest`: the parameters for a Recipe's `augmentations`, and the API names not among `names`."""
    by_api = {AUGMENTATIONS[name].api: name for name in names}
    params: dict[str, Any] = {}
    missing = []
    for given in augmentations:
        # fills in the API's defaults
        augmentation = Augmentation.model_validate(given)
        if (name := by_api.get(augmentation.name)) is None:
            missing.append(augmentation.name)
            continue
        params[name] = True
        params |= {f"{name}.{o}": augmentation.options[o] for o in AUGMENTATIONS[name].strength}
    return params, missing
