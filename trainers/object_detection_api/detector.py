"""Detector: the description of an Object Detection API model, and DetectorRecipe: the recipe of such a model."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from trainers.model import Model
from trainers.recipe import Precision, Recipe


class DetectorRecipe(Recipe):
    """The recipe of a detector: Recipe with these additional fields.

    l2: weight of the L2 regularizer of the kernels; None for the published value.
    precision: arithmetic of the network. Variables, losses and boxes are float32 in either case. bfloat16 needs no loss
        scaling, and a GPU of compute capability 8.0 (Ampere) or later.
    batch_norm_decay: decay of batch normalisation's moving averages. The zoo's .997 needs about a thousand steps.
    classification_weight, localization_weight: factors of the two parts of the loss.
    backbone_rate: factor of the learning rate of the backbone; with 0 it stays as it is.
    backbone_frozen: fraction of the steps during which the backbone stays as it is.
    freeze_batch_norm: whether batch normalisation keeps the statistics of the initial weights, in training too, as the
        API's freeze_batchnorm says; its scale and offset are trained, and in an EfficientNet backbone it goes on.
    flip_test: whether the network sees an image and its mirror image, in evaluation and when served, and the mean of
        both predictions at each anchor counts; twice the work. It changes nothing in training. For one-stage detectors.
    """

    added_later: ClassVar[Mapping[str, Any]] = {
        "precision": "float32",
        "backbone_rate": 1.0,
        "backbone_frozen": 0.0,
        "freeze_batch_norm": False,
        "flip_test": False,
    }

    l2: float | None = Field(default=None, ge=0, le=1)
    precision: Precision = "float32"
    batch_norm_decay: float = Field(default=0.997, gt=0, lt=1)
    classification_weight: float = Field(default=1.0, gt=0, le=1000)
    localization_weight: float = Field(default=1.0, gt=0, le=1000)
    backbone_rate: float = Field(default=1.0, ge=0, le=1)
    backbone_frozen: float = Field(default=0.0, ge=0, lt=1)
    freeze_batch_norm: bool = False
    flip_test: bool = False

    @property
    def thaws_at(self) -> int:
        """The step (from 0) from which on the backbone is trained."""
        return round(self.backbone_frozen * self.steps)

    def with_published_losses(self) -> DetectorRecipe:
        """The recipe with the published weights of all parts of the loss: a graph takes the others as arguments."""
        found = self.replace(l2=None, classification_weight=1.0, localization_weight=1.0)
        assert isinstance(found, DetectorRecipe)
        return found


@dataclass(frozen=True, kw_only=True)
class Detector(Model):
    """The description of a detector: Model with these additional fields.

    smallest_object: by default that of anchors of 32 px, the smallest of all detectors here, which match a box whose
        intersection over union with them is above .5: a square of 32 / sqrt(2) px.
    proto: (number of classes, image size in pixels) -> text of the published DetectionModel proto. A subclass whose
        recipes decide more of the model overrides `text`.
    start: "module:callable" that finds, and fetches, what a trial starts from (`checkpoint`).
    zoo_archive: file name, without `.tar.gz`, of its COCO checkpoint in the TensorFlow 2 detection model zoo.
    zoo_variables: number of variables in that checkpoint, including the save counter.
    zoo_digest: sha256 of their names and shapes (checkpoints.reading.digest).
    extractor_digest: likewise of the feature extractor's alone, by which other weights are told to be of this detector.
    """

    task: str = "detection"
    trainer: str = "trainers.object_detection_api.trainer:alone_in_process"
    average: str | None = "trainers.keras_training.checkpoint_average:average"
    recipe: type[Recipe] = DetectorRecipe
    smallest_object: float = 32 / math.sqrt(2)
    several_gpus: bool = True
    graph_fields: tuple[str, ...] = (
        "image_size",
        "batch_size",
        "batch_norm_decay",
        "precision",
        "freeze_batch_norm",
        "flip_test",
    )
    trained_with: tuple[str, ...] = ("batch_size", "batch_norm_decay", "precision", "freeze_batch_norm")
    initial_weights: str | None = "trainers.object_detection_api.checkpoints.weights:resolve"
    published_weights: str | None = "trainers.object_detection_api.checkpoints.zoo:archive_of"
    start: str = "trainers.object_detection_api.checkpoints.weights:start_of"
    proto: Callable[[int, int], str]
    zoo_archive: str
    zoo_variables: int
    zoo_digest: str
    extractor_digest: str = ""

    def __post_init__(self) -> None:
        place = f"the TensorFlow 2 detection model zoo's training on COCO 2017 ({self.zoo_archive})"
        object.__setattr__(self, "published_at", self.published_at or place)

    def checkpoint(self, recipe: DetectorRecipe, sha256: str | None) -> Path | None:
        """What a trial of the recipe starts from, on this machine; None for random values.

        sha256: of the zoo's archive that is wanted; None for any. Raises UserError if it cannot be had.
        """
        module, _, function = self.start.partition(":")
        found: Path | None = getattr(importlib.import_module(module), function)(recipe, sha256)
        return found

    def text(self, recipe: DetectorRecipe, classes: int) -> str:
        """The text of the DetectionModel proto of a recipe's model for `classes` classes."""
        return self.proto(classes, recipe.image_size)


def detector(name: str) -> Detector:
    """The registered detector called `name`. Raises UserError if there is none."""
    from trainers import model as models
    from trainers.errors import UserError

    found = models.get(name)
    if not isinstance(found, Detector):
        raise UserError(f"{name}: not a detector of the Object Detection API")
    return found
