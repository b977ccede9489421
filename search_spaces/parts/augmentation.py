"""The part of every space that says what is done to the images: each augmentation on or off, how strongly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces.parts.parameters import Range, Trial, Whole, switch
from trainers.augmentations import Augmentation
from trainers.errors import UserError


@dataclass(frozen=True)
class Choice:
    """One of the API's augmentations, as a space offers it.

    api: its name in the API.
    strength: its options that the search varies, each a parameter `<name>.<option>`.
    fixed: its options that are always so.
    side: its option that takes the recipe's image size, in pixels.
    """

    api: str
    strength: Mapping[str, Range | Whole] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    side: str | None = None


# In the order in which they are applied. The ranges hold the zoo's and the published values (facts of
# published.py); beyond those they stop where a car at dusk is no longer one.
AUGMENTATIONS: dict[str, Choice] = {
    "flip": Choice("random_horizontal_flip", fixed={"probability": 0.5}),
    "image_scale": Choice(
        "random_image_scale", {"min_scale_ratio": Range(0.5, 1.0), "max_scale_ratio": Range(1.0, 2.2)}
    ),
    # the crop of the zoo's SSDs: any piece, of any object what remains
    "crop": Choice(
        "random_crop_image",
        {"min_area": Range(0.3, 0.95), "max_aspect_ratio": Range(1.33, 3.0)},
        fixed={"min_object_covered": 0.0, "min_aspect_ratio": 0.75, "max_area": 1.0, "overlap_thresh": 0.0},
    ),
    # the zoo's jitter of scale for padded square inputs; objects a tenth of their size are for long trainings at 640 px
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
    # onto a canvas of up to twice the side, so that objects become smaller
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
        {"max_black_patches": Whole(1, 15), "size_to_image_ratio": Range(0.05, 0.2)},
        fixed={"probability": 0.5},
    ),
}

PHOTOMETRIC = ("brightness", "contrast", "hue", "saturation", "gray")


def suggest(trial: Trial, names: Iterable[str], image_size: int) -> list[dict[str, Any]]:
    """A Recipe's `augmentations`, chosen among `names`, keys of AUGMENTATIONS.

    Raises UserError for another name.
    """
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
    """The parameters with which `suggest` says a Recipe's `augmentations`, and what `names` do not offer."""
    by_api = {AUGMENTATIONS[name].api: name for name in names}
    params: dict[str, Any] = {}
    missing = []
    for given in augmentations:
        # options left out take the API's defaults here
        augmentation = Augmentation.model_validate(given)
        if (name := by_api.get(augmentation.name)) is None:
            missing.append(augmentation.name)
            continue
        params[name] = True
        params |= {f"{name}.{o}": augmentation.options[o] for o in AUGMENTATIONS[name].strength}
    return params, missing
