"""Recipe: all that decides a trial's result but the data. Frozen, validated, hashed, kept as YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trainers import model as models
from trainers.augmentations import Augmentation
from trainers.errors import UserError
from trainers.optimizers import Optimizer
from trainers.schedules import Schedule

Precision = Literal["float32", "bfloat16"]
OLD_NAMES = {"detector": "model"}  # fields of recipes that earlier versions wrote


class InitialWeights(BaseModel):
    """Where a trial's variables start.

    source: "none" (from scratch), "zoo" (the model's published checkpoint, from the cache) or the path of a
        checkpoint directory or prefix.
    part: how much of it is taken: "classification" the backbone, "detection" the whole feature extractor with
        its pyramid, "full" everything (the classes must then be the same).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = "none"
    part: Literal["classification", "detection", "full"] = "detection"


class Recipe(BaseModel):
    """One trial's settings: what every model has. A model may add fields of its own by a subclass (Model.recipe).

    model: a registered model's name.
    image_size: pixels, the side of the square input.
    batch_size: images a step.
    steps: the trial's full budget of gradient steps; the schedule is in fractions of it.
    augmentations: applied in this order, before the resize.
    averaging: decay of an exponential moving average of the weights that evaluation uses; None: no average.
    gradient_clip: largest global norm of the gradients; None for no clipping.
    seed: of the initial variables, the order of the images and every augmentation's draw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    # own fields that came later, with the default that leaves a recipe, and its id, what it was
    added_later: ClassVar[Mapping[str, Any]] = {}

    model: str
    image_size: int = Field(gt=0, le=4096)
    batch_size: int = Field(gt=0, le=1024)
    steps: int = Field(gt=0)
    optimizer: Optimizer
    schedule: Schedule
    augmentations: tuple[Augmentation, ...] = ()
    weights: InitialWeights = InitialWeights()
    averaging: float | None = Field(default=None, gt=0, lt=1)
    gradient_clip: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    seed: int = Field(default=0, ge=0, lt=2**31)

    @field_validator("model")
    @classmethod
    def _model_is_known(cls, name: str) -> str:
        try:
            models.get(name)
        except UserError as error:
            raise ValueError(str(error)) from None
        return name

    @model_validator(mode="after")
    def _model_takes_the_image(self) -> Recipe:
        models.get(self.model).check_image_size(self.image_size)
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
        """What the id is made of: `to_dict` as the first version wrote it, so that equal recipes keep their ids."""
        old = {new: name for name, new in OLD_NAMES.items()}
        return {
            old.get(name, name): value
            for name, value in self.to_dict().items()
            if name not in self.added_later or value != self.added_later[name]
        }

    def to_yaml(self) -> str:
        """The recipe as a person would write it."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def replace(self, **changes: Any) -> Recipe:
        """A recipe with some fields changed, validated anew. Raises UserError."""
        return build(self.to_dict() | changes)


def upgraded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's plain values with today's field names: earlier versions said `detector` for `model`."""
    return {OLD_NAMES.get(name, name): value for name, value in fields.items()}


def graph_key(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a recipe's plain values decides what a worker builds for it: with an equal key it builds nothing anew."""
    return tuple(fields.get(name) for name in ("model", *models.get(fields["model"]).graph_fields))


def build(fields: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """The recipe of plain values, of its model's class. Raises UserError: `where`, field, what is allowed, value."""
    fields = upgraded(fields)
    name = fields.get("model")
    known = models.all_models()
    kind = known[name].recipe if isinstance(name, str) and name in known else Recipe
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise UserError(f"{where}: {_first_line(error, kind)}") from None


def _first_line(error: ValidationError, kind: type[Recipe]) -> str:
    """The first of pydantic's complaints in plain words."""
    first, count = error.errors()[0], error.error_count()
    location = list(first["loc"])
    if location[:1] in (["optimizer"], ["schedule"]):
        del location[1:2]  # pydantic puts the union's chosen kind here; a person wrote only the field's name
    given = first["input"]
    match first["type"]:
        case "missing":
            message = "is missing"
        case "extra_forbidden":
            known = f"; known are {', '.join(kind.model_fields)}" if len(location) == 1 else ""
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
