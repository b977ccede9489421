"""Recipe: everything that determines a trial's result, except the data. Frozen, validated, hashable, stored as YAML."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
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
# suffix -> "module:callable" that reads the recipes of others, given a path, and returns a Given; all others are YAML
READERS = {".config": "trainers.object_detection_api.pipeline_reading:read"}
OLD_NAMES = {"detector": "model"}  # field names of earlier versions


class InitialWeights(BaseModel):
    """The initial weights of a trial.

    source: "none" (from scratch), "zoo" (the model's published checkpoint, from the cache), or the path of a
        checkpoint directory or prefix.
    part: the part of the checkpoint to use: "classification" the backbone, "detection" the feature extractor with its
        pyramid, "boxes" that and all that predicts boxes and classes but the last layer of classes, of which the
        outputs of classes with the same names are taken, "full" everything (needs the same classes).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = "none"
    part: Literal["classification", "detection", "boxes", "full"] = "detection"


class Recipe(BaseModel):
    """The settings of one trial that all models have. A model adds its own fields by a subclass (Model.recipe).

    model: the name of a registered model.
    image_size: side of the square input, pixels. batch_size: images per step.
    steps: gradient steps of the full trial; schedules are in fractions of it.
    optimizer, schedule: see trainers.optimizers and trainers.schedules.
    augmentations: applied in this order, before resizing.
    weights: the initial weights.
    averaging: decay of an exponential moving average of the weights, used in evaluation; None for no averaging.
    gradient_clip: maximum global norm of the gradients; None for no clipping.
    seed: determines the initial variables, the order of the images, and all random numbers of the augmentations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    # fields that a subclass added in a later version, with their defaults; at its default, a field is not in the id
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
        """Hash of the recipe, twelve hexadecimal digits; the same on every machine and Python version."""
        canonical = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def learning_rate(self, step: int) -> float:
        """The learning rate of step number `step` (from 0)."""
        return self.schedule.rate(step, self.steps)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the input of `build`."""
        return self.model_dump(mode="json")

    def identity(self) -> dict[str, Any]:
        """The values that the id is a hash of: `to_dict` in the form of the first version, so that ids do not change."""
        old = {new: name for name, new in OLD_NAMES.items()}
        return {
            old.get(name, name): value
            for name, value in self.to_dict().items()
            if name not in self.added_later or value != self.added_later[name]
        }

    def to_yaml(self) -> str:
        """The recipe as YAML; the input of `read`."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def replace(self, **changes: Any) -> Recipe:
        """A copy with some fields changed. Raises UserError if it is invalid."""
        return build(self.to_dict() | changes)


def upgraded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's values with current field names; earlier versions called `model` `detector`.

    Raises UserError if a field is given under both names.
    """
    for old, new in OLD_NAMES.items():
        if old in fields and new in fields:
            raise UserError(f"{old}: is the former name of {new}, which is given too; remove one of them")
    return {OLD_NAMES.get(name, name): value for name, value in fields.items()}


def graph_key(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of a recipe that determine its graph; recipes with equal keys share a graph (Model.graph_fields)."""
    return tuple(fields.get(name) for name in ("model", *models.get(fields["model"]).graph_fields))


def architecture(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a recipe that determine the network that is served, by field: its model and shape, no weights."""
    about = models.get(fields["model"])
    shape = [name for name in about.graph_fields if name not in about.trained_with]
    return {name: fields.get(name) for name in ("model", *shape)}


def build(fields: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Build a recipe, of its model's class, from plain values.

    Raises UserError with `where`, the field, the allowed values and the given value.
    """
    try:
        fields = upgraded(fields)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    name = fields.get("model")
    known = models.all_models()
    kind = known[name].recipe if isinstance(name, str) and name in known else Recipe
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise UserError(f"{where}: {_first_line(error, kind)}") from None


def _first_line(error: ValidationError, kind: type[Recipe]) -> str:
    """The first of pydantic's errors, in one line."""
    first, count = error.errors()[0], error.error_count()
    location = list(first["loc"])
    if location[:1] in (["optimizer"], ["schedule"]):
        del location[1:2]  # pydantic adds the kind of the union here, which is not in the user's file
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


@dataclass(frozen=True)
class Given:
    """A recipe that was read. changed: one phrase for each thing in the file that a recipe cannot say."""

    recipe: Recipe
    changed: tuple[str, ...] = ()


def read_any(path: Path) -> Given:
    """Read a recipe from a file of any known format. Raises UserError if it cannot be read or is invalid."""
    if path.suffix not in READERS:
        return Given(read(path))
    module, _, function = READERS[path.suffix].partition(":")
    found: Given = getattr(importlib.import_module(module), function)(path)
    return found


def read(path: Path) -> Recipe:
    """Read a recipe from a YAML file. Raises UserError if it cannot be read or is invalid."""
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not a text file") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: cannot be read as a recipe: {' '.join(str(error).split())}") from None
    if not isinstance(fields, dict):
        raise UserError(f"{path}: not a recipe (a mapping of fields, such as the recipe.yaml of a trial)")
    return build(fields, where=str(path))
