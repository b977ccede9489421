"""Recipe: all that decides a trial's result but the data. Frozen, validated, hashed, kept as YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trainers import detectors
from trainers.augmentations import Augmentation
from trainers.errors import UserError
from trainers.optimizers import Optimizer
from trainers.schedules import Schedule

Precision = Literal["float32", "bfloat16"]
# defaults of fields that the first recipes had not: they leave a recipe what it was, and its id too
_LATER = (("precision", "float32"),)
# what a worker builds is the same for recipes that agree in these
_GRAPH = ("detector", "image_size", "batch_size", "batch_norm_decay", "precision")


class InitialWeights(BaseModel):
    """Where a trial's variables start.

    source: "none" (from scratch), "zoo" (the published COCO checkpoint, from the cache) or the path of
        a checkpoint directory or prefix.
    part: how much of it is taken: "classification" the backbone, "detection" the whole feature extractor with
        its pyramid, "full" everything (the classes must then be the same).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = "none"
    part: Literal["classification", "detection", "full"] = "detection"


class Recipe(BaseModel):
    """One trial's settings.

    detector: a registered detector's name.
    image_size: pixels, the side of the square input.
    batch_size: images a step.
    steps: the trial's full budget of gradient steps; the schedule is in fractions of it.
    augmentations: applied in this order, before the resize, by the API's preprocessor.
    averaging: decay of an exponential moving average of the weights that evaluation uses; None: no average.
    gradient_clip: largest global norm of the gradients; None for no clipping.
    l2: weight of the kernels' L2 regulariser; None for the zoo's.
    precision: of the network's arithmetic; variables, losses and boxes are float32 with either. bfloat16, which needs
        no scaling of the loss, is for GPUs of compute capability 8 (Ampere) and later.
    batch_norm_decay: of batch normalisation's moving averages; the zoo's .997 needs about a thousand steps.
    classification_weight, localization_weight: factors of the two parts of the loss.
    seed: of the initial variables, the order of the images and every augmentation's draw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    detector: str
    image_size: int = Field(gt=0, le=4096)
    batch_size: int = Field(gt=0, le=1024)
    steps: int = Field(gt=0)
    optimizer: Optimizer
    schedule: Schedule
    augmentations: tuple[Augmentation, ...] = ()
    weights: InitialWeights = InitialWeights()
    averaging: float | None = Field(default=None, gt=0, lt=1)
    gradient_clip: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    l2: float | None = Field(default=None, ge=0, le=1)
    precision: Precision = "float32"
    batch_norm_decay: float = Field(default=0.997, gt=0, lt=1)
    classification_weight: float = Field(default=1.0, gt=0, le=1000)
    localization_weight: float = Field(default=1.0, gt=0, le=1000)
    seed: int = Field(default=0, ge=0, lt=2**31)

    @field_validator("detector")
    @classmethod
    def _detector_is_known(cls, name: str) -> str:
        try:
            detectors.get(name)
        except UserError as error:
            raise ValueError(str(error)) from None
        return name

    @model_validator(mode="after")
    def _detector_takes_the_image(self) -> Recipe:
        detectors.get(self.detector).check_image_size(self.image_size)
        return self

    @property
    def recipe_id(self) -> str:
        """Twelve hexadecimal digits; equal for equal recipes, on every machine and Python version."""
        canonical = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def learning_rate(self, step: int) -> float:
        """The rate that step number `step` (from 0) is taken with."""
        return self.schedule.rate(step, self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings: what `build` takes."""
        return self.model_dump(mode="json")

    def identity(self) -> dict[str, Any]:
        """What the id is made of: `to_dict` without what came later and is not asked for."""
        return {name: value for name, value in self.to_dict().items() if (name, value) not in _LATER}

    def to_yaml(self) -> str:
        """The recipe as a person would write it."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def replace(self, **changes: Any) -> Recipe:
        """A recipe with some fields changed, validated anew. Raises UserError."""
        return build(self.to_dict() | changes)


def graph_key(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a recipe's plain values decides what a worker builds for it: with an equal key it builds nothing anew."""
    return tuple(fields.get(name) for name in _GRAPH)


def build(fields: dict[str, Any], where: str = "recipe") -> Recipe:
    """A Recipe of plain values. Raises UserError in one line: `where`, field, what is allowed, value."""
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        raise UserError(f"{where}: {_first_line(error)}") from None


def _first_line(error: ValidationError) -> str:
    """The first of pydantic's complaints as a person would say it."""
    first, count = error.errors()[0], error.error_count()
    location = list(first["loc"])
    if location[:1] in (["optimizer"], ["schedule"]):
        del location[1:2]  # pydantic puts the union's chosen kind here; a person wrote only the field's name
    given = first["input"]
    match first["type"]:
        case "missing":
            message = "is missing"
        case "extra_forbidden":
            known = f"; known are {', '.join(Recipe.model_fields)}" if len(location) == 1 else ""
            message = f"is unknown{known}"
        case "union_tag_not_found":
            message = "its kind is missing"
        case "union_tag_invalid":
            message = f"its kind must be one of {first['ctx']['expected_tags']}, not '{first['ctx']['tag']}'"
        case "value_error":
            message = first["msg"].removeprefix("Value error, ")
        case _:
            message = first["msg"].replace("Input should be", "must be")
            message += "" if isinstance(given, dict | list) else f", not {given!r}"
    field = ".".join(str(part) for part in location)
    return f"{field + ': ' if field else ''}{message}{f' (and {count - 1} more)' if count > 1 else ''}"


def read(path: Path) -> Recipe:
    """The recipe in a YAML file. Raises UserError when it cannot be read or is no recipe."""
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as a recipe: {' '.join(str(error).split())}") from None
    if not isinstance(fields, dict):
        raise UserError(f"{path}: a recipe is a mapping of fields, as written by a study; this is not")
    return build(fields, where=str(path))
