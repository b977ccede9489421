"""SegmenterBranch: the Branch of a segmentation model: a detector's, with its loss and the network's shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces.branch import Published
from search_spaces.conditions import Conditions
from search_spaces.detector_branch import DetectorBranch
from search_spaces.parts.parameters import Range, Trial, choose, switch
from trainers.recipe import Recipe

LOSS = {
    "class_balance": Range(0.1, 0.7),
    "focal_gamma": Range(0.5, 3.0),
    "dice": Range(0.1, 0.7),
}


@dataclass(frozen=True)
class SegmenterBranch(DetectorBranch):
    """The search space of one segmentation model.

    shape: recipe field of the network -> its choices. Each combination is a graph of its own, so there should be few.
    recipes: published recipes to try first, before the preset's.
    tunes_backbone: no, since a segmenter's recipe has one learning rate.
    """

    shape: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    recipes: tuple[Published, ...] = ()
    tunes_backbone: bool = False

    def suggest(self, trial: Trial, conditions: Conditions) -> dict[str, Any]:
        """Recipe fields, the varied ones suggested by `trial`."""
        fields = super().suggest(trial, conditions)
        for name, choices in self.shape.items():
            fields[name] = choose(trial, f"{self.model}.{name}", choices)
        for name, values in LOSS.items():
            if switch(trial, name):
                fields[name] = values.suggest(trial, f"{name}.value")
        return fields

    def express(self, recipe: Recipe, conditions: Conditions) -> tuple[dict[str, Any], list[str]]:
        """See Branch.express."""
        params, changed = super().express(recipe, conditions)
        fields = recipe.to_dict()
        params |= {f"{self.model}.{name}": fields[name] for name in self.shape}
        fixed = self.fixed(conditions)
        changed += [
            f"{name} {fields[name]} → {fixed[name]}"
            for name in self.about.graph_fields
            if name not in (*self.shape, "image_size") and fields[name] != fixed.get(name, fields[name])
        ]
        for name in LOSS:
            if fields[name]:
                params |= {name: True, f"{name}.value": fields[name]}
        return params, changed

    def fixed(self, conditions: Conditions) -> dict[str, Any]:
        """The Recipe fields that do not vary."""
        return {name: value for name, value in super().fixed(conditions).items() if name not in LOSS}

    def relative_costs(self, conditions: Conditions) -> Mapping[str, float]:
        """Of each number of filters, which decides what a step costs."""
        fixed = self.fixed(conditions)
        return {
            f"{filters:g} filters": self.about.relative_cost(fixed | {"filters": filters})
            for filters in self.shape.get("filters", ())
        }

    @property
    def first_trials(self) -> int:
        """The published recipes, and the preset's default."""
        return len(self.recipes) + 1

    def published(self, preset: str) -> Sequence[Published]:
        """The published recipes, then the preset's default."""
        return [*self.recipes, *super().published(preset)]
