"""Augmentation: one of the Object Detection API's 39 augmentations by name, with validated options."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from trainers.augmentations.table import AUGMENTATIONS, Option

# where minimum and maximum must differ, because the API divides by their difference or excludes the maximum
_STRICTLY_BELOW = {"original_minval", "min_jpeg_quality", "min_target_pixels", "min_patch_size"}


class Augmentation(BaseModel):
    """One augmentation, applied to an image and its boxes before resizing.

        Augmentation(name="random_adjust_brightness", options={"max_delta": 0.1})

    name: a key of AUGMENTATIONS.
    options: option -> value, within the ranges in AUGMENTATIONS. Missing options are filled in with the proto's
        defaults, so that equivalent augmentations are equal and have the same YAML. Do not modify it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _options_are_allowed(self) -> Augmentation:
        if self.name not in AUGMENTATIONS:
            raise ValueError(f"unknown augmentation '{self.name}'; {_close(self.name, AUGMENTATIONS)}")
        complete = _checked(self.options, AUGMENTATIONS[self.name], self.name)
        if self.name == "random_pad_image":
            _check_both_sides(complete)
        self.options.clear()
        self.options.update(complete)
        return self

    def __hash__(self) -> int:
        return hash((self.name, json.dumps(self.options, sort_keys=True)))


def _checked(given: Mapping[str, Any], table: Mapping[str, Option], where: str) -> dict[str, Any]:
    """The options with defaults filled in, in the table's order. Raises ValueError if one is wrong."""
    for name in given:
        if name not in table:
            raise ValueError(f"{where}: unknown option '{name}'; {_close(name, table)}")
    complete: dict[str, Any] = {}
    for name, option in table.items():
        if given.get(name) is not None:
            complete[name] = _value(given[name], option, f"{where}: {name}")
        elif option.required:
            raise ValueError(f"{where}: {name} is missing; it takes {option.allowed}")
        elif option.default is not None:
            complete[name] = option.default
    for low in complete:
        high = low.replace("min", "max", 1)
        if high != low and high in complete:
            _check_order(complete, low, high, where)
    return complete


def _value(given: Any, option: Option, where: str) -> Any:
    """The value converted to the option's kind (5 becomes 5.0 for a float). Raises ValueError if it is wrong."""
    if option.kind in ("floats", "ints", "operations"):
        right_length = isinstance(given, list | tuple) and (
            len(given) == option.length or (option.length is None and given)
        )
        if not right_length:
            raise ValueError(f"{where} must be {option.allowed}, not {given!r}")
        if option.kind == "operations":
            if not all(isinstance(operation, Mapping) for operation in given):
                raise ValueError(f"{where} must be {option.allowed}, not {given!r}")
            return [_checked(each, option.fields, f"{where}[{i}]") for i, each in enumerate(given)]
        return [_number(each, option, where, whole=option.kind == "ints") for each in given]
    if option.kind == "bool" and isinstance(given, bool):
        return given
    if option.kind == "choice" and given in option.choices:
        return given
    if option.kind in ("float", "int"):
        return _number(given, option, where, whole=option.kind == "int")
    raise ValueError(f"{where} must be {option.allowed}, not {given!r}")


def _number(given: Any, option: Option, where: str, *, whole: bool) -> float | int:
    numeric = isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)
    if numeric and not (whole and given != int(given)):
        above = given > option.low if option.open_low else given >= option.low
        below = given < option.high if option.open_high else given <= option.high
        if above and below:
            return int(given) if whole else float(given)
    raise ValueError(f"{where} must be {option.allowed}, not {given!r}")


def _check_order(options: Mapping[str, Any], low: str, high: str, where: str) -> None:
    least, most = options[low], options[high]
    if isinstance(least, list):
        in_order = all(a <= b for a, b in zip(least, most, strict=True))
    else:
        in_order = least < most if low in _STRICTLY_BELOW else least <= most
    if not in_order:
        relation = "be below" if low in _STRICTLY_BELOW else "not exceed"
        raise ValueError(f"{where}: {low} {least} must {relation} {high} {most}")


def _check_both_sides(options: Mapping[str, Any]) -> None:
    """Raise ValueError if random_pad_image has a height without a width, or the reverse."""
    for end in ("min", "max"):
        height, width = f"{end}_image_height", f"{end}_image_width"
        if (height in options) != (width in options):
            raise ValueError(f"random_pad_image: {height} and {width} must be given together or not at all")


def _close(name: str, known: Mapping[str, object]) -> str:
    if not known:
        return "it takes none"
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
