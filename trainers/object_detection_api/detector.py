"""Detector: a model of the Object Detection API, and the recipe fields that only those have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from trainers.model import Model
from trainers.recipe import Precision, Recipe


class DetectorRecipe(Recipe):
    """A detector's recipe.

    l2: weight of the kernels' L2 regulariser; None for the zoo's.
    precision: of the network's arithmetic; variables, losses and boxes are float32 with either. bfloat16, which needs
        no scaling of the loss, is for GPUs of compute capability 8 (Ampere) and later.
    batch_norm_decay: of batch normalisation's moving averages; the zoo's .997 needs about a thousand steps.
    classification_weight, localization_weight: factors of the two parts of the loss.
    """

    added_later: ClassVar[Mapping[str, Any]] = {"precision": "float32"}

    l2: float | None = Field(default=None, ge=0, le=1)
    precision: Precision = "float32"
    batch_norm_decay: float = Field(default=0.997, gt=0, lt=1)
    classification_weight: float = Field(default=1.0, gt=0, le=1000)
    localization_weight: float = Field(default=1.0, gt=0, le=1000)


@dataclass(frozen=True, kw_only=True)
class Detector(Model):
    """A detector.

    proto: given the number of classes and the image size in pixels, the text of its DetectionModel proto with the
        zoo's settings.
    zoo_archive: file name, without `.tar.gz`, of its COCO checkpoint in the TensorFlow 2 detection model zoo.
    zoo_variables: how many variables that checkpoint holds, the save counter included.
    zoo_digest: sha256 of their names and shapes (checkpoints.weights.digest).
    """

    task: str = "detection"
    trainer: str = "trainers.object_detection_api.trainer:alone_in_process"
    recipe: type[Recipe] = DetectorRecipe
    graph_fields: tuple[str, ...] = ("image_size", "batch_size", "batch_norm_decay", "precision")
    initial_weights: str | None = "trainers.object_detection_api.checkpoints.weights:resolve"
    proto: Callable[[int, int], str]
    zoo_archive: str
    zoo_variables: int
    zoo_digest: str

    def __post_init__(self) -> None:
        place = f"the TensorFlow 2 detection model zoo's training on COCO 2017 ({self.zoo_archive})"
        object.__setattr__(self, "published_at", self.published_at or place)


def detector(name: str) -> Detector:
    """The registered detector called `name`. Raises UserError when there is none."""
    from trainers import model as models
    from trainers.errors import UserError

    found = models.get(name)
    if not isinstance(found, Detector):
        raise UserError(f"{name}: is no detector of the Object Detection API")
    return found
