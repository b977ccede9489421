"""Branch: one model's part of a space: what varies for it, and the recipes that are known for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.conditions import Conditions
from search_spaces.parts.parameters import Trial
from trainers import model as models
from trainers import recipe as recipes
from trainers.model import Model
from trainers.recipe import Recipe


@dataclass(frozen=True)
class Published:
    """A recipe with a name for people and its source: who, the result, and what they did not publish."""

    name: str
    source: str
    recipe: Recipe


class Branch(ABC):
    """One model's part of a space. A subclass says what a trial may suggest.

    model: its registered name.
    """

    model: str

    @abstractmethod
    def suggest(self, trial: Trial, conditions: Conditions) -> dict[str, Any]:
        """All fields of a Recipe, the suggested ones asked of `trial`."""

    @abstractmethod
    def express(self, recipe: Recipe, conditions: Conditions) -> tuple[dict[str, Any], list[str]]:
        """The parameters that say `recipe` under `conditions`, whatever the ranges; and what had to change."""

    @property
    def about(self) -> Model:
        """What is known of the model."""
        return models.get(self.model)

    def defaults(self, preset: str) -> Mapping[str, Any]:
        """The model's own Recipe fields for the preset; those of its first preset where it has no such one."""
        presets = self.about.presets
        return presets[preset] if preset in presets else next(iter(presets.values()))

    def fixed(self, conditions: Conditions) -> dict[str, Any]:
        """The preset's Recipe fields, with what the conditions say in their place."""
        fields = dict(self.defaults(conditions.preset))
        fields |= {"model": self.model, "steps": conditions.steps, "seed": conditions.seed}
        if "precision" in self.about.recipe.model_fields:
            fields["precision"] = conditions.precision
        if conditions.image_size is not None:
            fields["image_size"] = conditions.image_size
        if conditions.weights is not None:
            fields["weights"] = conditions.weights.model_dump()
        return fields

    def batch_sizes(self, conditions: Conditions) -> tuple[int, ...]:
        """The batch sizes that trials may have."""
        if conditions.batch_size is not None:
            return (conditions.batch_size,)
        return (int(self.defaults(conditions.preset)["batch_size"]),)

    def published(self, preset: str) -> Sequence[Published]:
        """The preset's own default first, then the model's other presets, then what people published with it."""
        about = self.about
        told = {
            "laptop": f"{about.title} from scratch in minutes on a CPU, on the toy city",
            "zoo": about.published_at,
        }
        names = sorted(about.presets, key=lambda name: (name != preset, name))
        if preset in about.presets and preset != "laptop":
            names = [name for name in names if name != "laptop"]
        return [
            Published(
                f"{name} {about.name}",
                told.get(name, f"{about.title}, preset {name}"),
                built(f"{name} {about.name}", {"model": about.name, **about.presets[name]}),
            )
            for name in names
        ]


def built(name: str, fields: Mapping[str, Any]) -> Recipe:
    """A published recipe of plain values. Raises UserError, with its name."""
    return recipes.build(fields, where=f"published recipe '{name}'")
