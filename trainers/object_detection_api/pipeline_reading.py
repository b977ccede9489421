"""`pipeline.config` -> recipe: the inverse of pipeline_config, for configurations that anybody wrote.

A recipe has its schedule in fractions of the steps, a square input, and everything else of the model as it was
published; what of a configuration a recipe cannot say is listed for the user. Its readers of data, its evaluation and
its class names are not read: they belong to the user's data.

Needs protobuf, not TensorFlow.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from trainers import model as models
from trainers import recipe as recipes
from trainers.augmentations.table import AUGMENTATIONS
from trainers.datasets.dataset import MOST_TRAINED_BOXES
from trainers.errors import UserError
from trainers.object_detection_api import architectures, compat
from trainers.object_detection_api.architectures.plain import plain
from trainers.object_detection_api.checkpoints.reading import checkpoint_prefix
from trainers.object_detection_api.checkpoints.zoo import default_cache
from trainers.object_detection_api.detector import Detector, DetectorRecipe
from trainers.object_detection_api.pipeline_config import model_proto
from trainers.object_detection_api.pipeline_optimizer import optimizer_fields
from trainers.recipe import Given, Recipe

compat.install_protos()

from object_detection.protos import pipeline_pb2  # noqa: E402

MOST_NAMED = 6  # differences of the model
_NO_FIELD = re.compile(r'type "object_detection\.protos\.(\w+)" has no field named "(\w+)"')
_UNKNOWN = {
    "PreprocessingStep": ("augmentation", ", ".join(AUGMENTATIONS)),
    "Optimizer": ("optimizer", "momentum_optimizer, adam_optimizer, rms_prop_optimizer"),
    "DetectionModel": ("model", "ssd, faster_rcnn"),
}
# of train_config: said if they are not at the proto's default, as they would change the training
_LEFT_OUT = (
    "freeze_variables",
    "update_trainable_variables",
    "bias_grad_multiplier",
    "use_multiclass_scores",
    "merge_multiple_label_boxes",
)
# of the image resizer: the recipe's image size, of which _image_size says where it is another
_SIDES = (
    ".fixed_shape_resizer.height",
    ".fixed_shape_resizer.width",
    ".keep_aspect_ratio_resizer.min_dimension",
    ".keep_aspect_ratio_resizer.max_dimension",
)


def read(path: Path) -> Given:
    """The recipe of a `pipeline.config`, and what it could not take over.

    Raises UserError if it cannot be read, or has a model, an augmentation or an optimizer that is not known here.
    """
    config = _parsed(path)
    try:
        detector = _detector_of(config.model)
        fields, changed = _fields(config, detector)
        recipe = recipes.build(fields, where=detector.name)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    assert isinstance(recipe, DetectorRecipe)
    return Given(recipe, (*changed, *_differences(config.model, recipe)))


def _parsed(path: Path) -> Any:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), pipeline_pb2.TrainEvalPipelineConfig())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not a text file") from None
    except text_format.ParseError as error:
        place = f"{path}:{error.GetLine()}"
        if (found := _NO_FIELD.search(str(error))) is None:
            reason = str(error).partition(" : ")[2] or str(error)
            raise UserError(f"{place}: not a pipeline.config: {' '.join(reason.split())}") from None
        message, field = found.groups()
        if message not in _UNKNOWN:
            raise UserError(f"{place}: the API's {message} has no field '{field}'") from None
        what, known = _UNKNOWN[message]
        raise UserError(f"{place}: unknown {what} '{field}'; known are {known}") from None


def _detector_of(model: Any) -> Detector:
    """The detector with this feature extractor. Raises UserError if there is none."""
    known = _by_extractor()
    kind = model.WhichOneof("model")
    name = _extractor(model) if kind in ("ssd", "faster_rcnn") else kind
    if name not in known:
        raise UserError(f"unknown model '{name or 'none'}'; known feature extractors are {', '.join(known)}")
    return known[name]


@functools.cache
def _by_extractor() -> dict[str, Detector]:
    """The published detectors by the type of their feature extractor."""
    detectors = [each for each in models.all_models().values() if isinstance(each, Detector)]
    return {_extractor(model_proto(_published(each), 1)): each for each in detectors if each.zoo_archive}


def _extractor(model: Any) -> str:
    return str(getattr(model, model.WhichOneof("model")).feature_extractor.type)


def _published(detector: Detector) -> DetectorRecipe:
    recipe = recipes.build({"model": detector.name, **detector.presets["zoo"]})
    assert isinstance(recipe, DetectorRecipe)
    return recipe


def _fields(config: Any, detector: Detector) -> tuple[dict[str, Any], list[str]]:
    """The fields of the recipe, and one phrase for each thing that it cannot say."""
    train, changed = config.train_config, []
    published, architecture = dict(detector.presets["zoo"]), architectures.of(config.model)
    usual = model_proto(_published(detector), architecture.num_classes(config.model))
    l2 = architecture.l2(config.model)
    size, said = _image_size(config.model, detector)
    changed += said
    steps = int(train.num_steps)
    if not steps:
        steps = int(published["steps"])
        changed.append(f"no num_steps → {steps:,}")
    optimizer, schedule, said = optimizer_fields(train.optimizer, steps)
    changed += said
    changed += [f"without {name}" for name in _LEFT_OUT if plain(getattr(train, name))]
    if not train.add_regularization_loss:
        changed.append("add_regularization_loss false → true")
    if train.max_number_of_boxes != MOST_TRAINED_BOXES:
        changed.append(f"max_number_of_boxes {train.max_number_of_boxes} → {MOST_TRAINED_BOXES}")
    weights, said = _weights(train, detector)
    changed += said
    averaged = train.optimizer.use_moving_average
    fields = published | {
        "model": detector.name,
        "image_size": size,
        "batch_size": train.batch_size,
        "steps": steps,
        "optimizer": optimizer,
        "schedule": schedule,
        "weights": weights,
        "augmentations": [_augmentation(step) for step in train.data_augmentation_options],
        "averaging": plain(train.optimizer.moving_average_decay) if averaged else None,
        "gradient_clip": plain(train.gradient_clipping_by_norm) or None,
        "l2": None if l2 == architecture.l2(usual) else plain(l2),
        "precision": "bfloat16" if train.use_bfloat16 else "float32",
    }
    return fields | architecture.recipe_fields(config.model, usual), changed


def _weights(train: Any, detector: Detector) -> tuple[dict[str, Any], list[str]]:
    """The initial weights: the checkpoint if it is on this machine, else the zoo's; none if the file names none."""
    given = train.fine_tune_checkpoint
    if not given:
        return {"source": "none"}, []
    path = Path(given).expanduser().absolute()
    published = dict(detector.presets["zoo"]["weights"])
    in_cache = path.is_relative_to(default_cache() / detector.zoo_archive)
    try:
        checkpoint_prefix(path)
    except UserError:
        of_zoo = in_cache or detector.zoo_archive in path.parts
        return published, [] if of_zoo else [
            f"fine_tune_checkpoint {given} (not on this machine) → the zoo's"
        ]
    # where it is empty, the API reads the older from_detection_checkpoint
    kind = train.fine_tune_checkpoint_type or (
        "detection" if train.from_detection_checkpoint else "classification"
    )
    part = kind if kind in ("classification", "full") else "detection"
    said = [] if part == kind else [f"fine_tune_checkpoint_type {kind} → {part}"]
    return {"source": published["source"] if in_cache else str(path), "part": part}, said


def _image_size(model: Any, detector: Detector) -> tuple[int, list[str]]:
    """The side of the square input, in pixels, that is nearest to the configuration's."""
    resizer = architectures.of(model).image_resizer(model)
    kind = resizer.WhichOneof("image_resizer_oneof")
    if kind == "fixed_shape_resizer":
        sides = (resizer.fixed_shape_resizer.width, resizer.fixed_shape_resizer.height)
    elif kind == "keep_aspect_ratio_resizer":
        kept = resizer.keep_aspect_ratio_resizer
        sides = (kept.min_dimension, kept.max_dimension)
    else:
        raise UserError(
            f"image_resizer: '{kind}' is not supported; give fixed_shape_resizer or keep_aspect_ratio_resizer"
        )
    multiple = detector.image_size_multiple
    size = max(round(max(sides) / multiple) * multiple, -(-detector.min_image_size // multiple) * multiple)
    return size, [] if sides == (size, size) else [f"input {sides[0]}x{sides[1]} → {size}x{size} px"]


def _augmentation(step: Any) -> dict[str, Any]:
    name = step.WhichOneof("preprocessing_step")
    if name is None:
        raise UserError("data_augmentation_options: is empty; name an augmentation, or remove it")
    return {"name": name, "options": _options(getattr(step, name))}


def _options(message: Any) -> dict[str, Any]:
    """The fields that are set, as plain values; those of an enumeration by name."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is not None:
            found[field.name] = [_options(each) for each in value]
        elif field.enum_type is not None:
            found[field.name] = field.enum_type.values_by_number[value].name
        else:
            found[field.name] = plain(value)
    return found


def _differences(model: Any, recipe: Recipe) -> list[str]:
    """What of the model is as published instead of as configured, but the classes."""
    assert isinstance(recipe, DetectorRecipe)
    classes = architectures.of(model).num_classes(model)
    here = dict(_leaves(model_proto(recipe, classes)))
    theirs = dict(_leaves(model))
    found = [
        f"model's {name} {theirs.get(name, 'unset')} → {here.get(name, 'unset')}"
        for name in dict.fromkeys((*theirs, *here))
        if theirs.get(name) != here.get(name) and not name.endswith(_SIDES)
    ]
    more = len(found) - MOST_NAMED
    return found[:MOST_NAMED] + ([f"{more} more differences of the model"] if more > 0 else [])


def _leaves(message: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values that are set, by their path, such as "ssd.loss.classification_weight"."""
    for field, value in message.ListFields():
        name = f"{prefix}{field.name}"
        if field.message_type is None:
            yield name, plain(value)
        elif hasattr(value, "ListFields"):
            yield from _leaves(value, f"{name}.")
        else:
            for i, each in enumerate(value):
                yield from _leaves(each, f"{name}[{i}].")
