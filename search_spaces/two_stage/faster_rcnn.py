"""The space `faster_rcnn`: Faster R-CNN over ResNet50. Edit the ranges here to search other values.

Beside what every detector varies: the weight of the first stage's losses, and, where each trial has a graph of its own
anyway (the zoo preset), the suppression of both stages and the size of the anchors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search_spaces.conditions import Conditions
from search_spaces.detector_branch import DetectorBranch
from search_spaces.parts.augmentation import PHOTOMETRIC
from search_spaces.parts.parameters import Range, Trial, choose
from search_spaces.space import Space
from trainers.recipe import Recipe

PROPOSAL_WEIGHT = Range(0.25, 16.0, log=True)
# the published value is in the middle of each
OF_A_GRAPH: Mapping[str, tuple[Any, ...]] = {
    "anchor_size": (128, 256),
    "proposal_iou": (0.6, 0.7, 0.8),
    "detection_iou": (0.5, 0.6, 0.7),
}


@dataclass(frozen=True)
class FasterRCNNBranch(DetectorBranch):
    """A DetectorBranch whose trials also vary what only a two-stage detector has."""

    from_scratch: Mapping[str, Range] = field(
        default_factory=lambda: {
            "adam": Range(1e-4, 2e-3, log=True),
            "momentum": Range(2e-3, 4e-2, log=True),
            "rms_prop": Range(5e-4, 1e-2, log=True),
        }
    )
    # published: momentum .04 with batches of 64
    fine_tuning: Mapping[str, Range] = field(
        default_factory=lambda: {
            "adam": Range(2e-5, 2e-3, log=True),
            "momentum": Range(5e-4, 5e-2, log=True),
            "rms_prop": Range(1e-4, 1e-2, log=True),
        }
    )
    augmentations: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "laptop": ("flip", "image_scale", "crop", *PHOTOMETRIC, "black_patches"),
            "zoo": ("flip", "image_scale", "crop", "pad", *PHOTOMETRIC, "black_patches"),
        }
    )
    zoo_batch_sizes: tuple[int, ...] = (2, 4, 8, 16)

    def suggest(self, trial: Trial, conditions: Conditions) -> dict[str, Any]:
        """Recipe fields, the varied ones suggested by `trial`."""
        fields = super().suggest(trial, conditions)
        fields["proposal_weight"] = PROPOSAL_WEIGHT.suggest(trial, f"{self.model}.proposal_weight")
        if conditions.preset == "zoo":
            for name, values in OF_A_GRAPH.items():
                fields[name] = choose(trial, f"{self.model}.{name}", values)
        return fields

    def express(self, recipe: Recipe, conditions: Conditions) -> tuple[dict[str, Any], list[str]]:
        """See Branch.express."""
        params, changed = super().express(recipe, conditions)
        own = recipe.to_dict()
        params[f"{self.model}.proposal_weight"] = own.get("proposal_weight", 1.0)
        if conditions.preset == "zoo":
            defaults = self.about.recipe.model_fields
            params |= {f"{self.model}.{name}": own.get(name, defaults[name].default) for name in OF_A_GRAPH}
        return params, changed


BRANCH = FasterRCNNBranch(model="faster_rcnn_50")

SPACE = Space("faster_rcnn", (BRANCH,), laptop_steps=720)
