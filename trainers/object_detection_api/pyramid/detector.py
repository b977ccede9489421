"""PyramidDetector: the description of detectors that are put together from parts which each recipe chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainers.object_detection_api.detector import Detector, DetectorRecipe
from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.heads import HEADS
from trainers.object_detection_api.pyramid.necks import NECKS
from trainers.object_detection_api.pyramid.proto import proto
from trainers.object_detection_api.pyramid.recipe import PyramidRecipe
from trainers.object_detection_api.pyramid.structure import Structure
from trainers.recipe import Recipe

SMALLEST = 64  # pixels of an image's side, for a feature map of 1 px at P7
GRAPH_FIELDS = (
    "image_size",
    "batch_size",
    "batch_norm_decay",
    "precision",
    "flip_test",
    *Structure.__dataclass_fields__,
)


@dataclass(frozen=True, kw_only=True)
class PyramidDetector(Detector):
    """Detector without a checkpoint in the zoo: what is published are the weights of its backbones."""

    recipe: type[Recipe] = PyramidRecipe
    initial_weights: str | None = "trainers.object_detection_api.pyramid.imagenet:resolve"
    published_weights: str | None = None
    start: str = "trainers.object_detection_api.pyramid.imagenet:start_of"
    graph_fields: tuple[str, ...] = GRAPH_FIELDS
    trained_with: tuple[str, ...] = ("batch_size", "batch_norm_decay", "precision", "head", "box_loss")
    min_image_size: int = SMALLEST
    image_size_multiple: int = 32
    zoo_archive: str = ""
    zoo_variables: int = 0
    zoo_digest: str = ""

    def relative_cost(self, fields: Mapping[str, Any]) -> float:
        """That of the backbone, and of the neck's pathways if `fields` has a neck; `cost` is of resnet50 with FPN."""
        found = BACKBONES[str(fields["backbone"])].cost
        if "neck" in fields:
            found += NECKS[str(fields["neck"])].pathway_cost * int(fields["pathways"])
        return found

    def parameters(self, fields: Mapping[str, Any]) -> int:
        """As `cost` has it, with the backbone's instead of resnet50's, and the neck's pathways if it has some."""
        found = self.cost.parameters - BACKBONES["resnet50"].parameters
        found += BACKBONES[str(fields["backbone"])].parameters
        if "neck" in fields:
            found += NECKS[str(fields["neck"])].pathway_parameters * int(fields["pathways"])
        return found

    def loss_of(self, fields: Mapping[str, Any]) -> str:
        """The name of the head's loss, with that of the boxes where it can be chosen."""
        head = HEADS[str(fields["head"])]
        return " ".join((self.name, head.name, *([] if head.own_box_loss else [str(fields["box_loss"])])))

    def text(self, recipe: DetectorRecipe, classes: int) -> str:
        """The text of the DetectionModel proto of the recipe's structure."""
        assert isinstance(recipe, PyramidRecipe)
        return proto(recipe.structure, classes, recipe.image_size)


def default_proto(classes: int, image_size: int) -> str:
    """The model of the laptop preset's parts, for what asks for one model without a recipe."""
    return proto(Structure("resnet50", "fpn", "retina", 256, 5, 9, "p5", "smooth_l1"), classes, image_size)
