"""Branch: the contract of one model's part of a search space: its parameters, and its published recipes."""

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
    """A published recipe, which a search tries first.

    name: short and unique. source: the author, the reported result, and which values are assumed.
    """

    name: str
    source: str
    recipe: Recipe


class Branch(ABC):
    """One model's part of a space. A subclass implements `suggest` and its inverse, `express`.

        @dataclass(frozen=True)
        class LinearBranch(Branch):
            model: str = "linear"

            def suggest(self, trial, conditions):
                rate = Range(1e-4, 1.0, log=True).suggest(trial, "linear.learning_rate")
                return self.fixed(conditions) | {"schedule": {"kind": "constant", "base": rate}}

            def express(self, recipe, conditions):
                return {"linear.learning_rate": recipe.schedule.base}, []

        SPACE = search_spaces.register(Space("linear", (LinearBranch(),)))

    Rules for `suggest`, which search_spaces.walk relies on: only choices and switches (parts.parameters) may decide
    which parameters follow, never a number; a parameter has the same range wherever it is suggested; a parameter that
    means something else for each model has the model's name in front.

    model: the registered name of the model (trainers.model.Model.name).
    """

    model: str

    @property
    def first_trials(self) -> int:
        """How many of `published` a search begins with; the others are spread over it (Space.seeds)."""
        return 1

    @abstractmethod
    def suggest(self, trial: Trial, conditions: Conditions) -> dict[str, Any]:
        """The fields of a Recipe (trainers.recipe.build), the varied ones suggested by `trial`.

        Optuna names and ranges come from the calls on `trial`. Raises UserError for an invalid range.
        """

    @abstractmethod
    def express(self, recipe: Recipe, conditions: Conditions) -> tuple[dict[str, Any], list[str]]:
        """The inverse of `suggest`: the parameters with which `suggest` would return `recipe`.

        Values may lie outside their ranges; Space.seeds moves them to the nearest valid ones. The second value lists
        what `suggest` cannot return under these conditions, one phrase per change, such as "batch 64 → 8".
        """

    @property
    def about(self) -> Model:
        """The model's description."""
        return models.get(self.model)

    def defaults(self, preset: str) -> Mapping[str, Any]:
        """The model's Recipe fields for the preset, or for its first preset if it does not have this one."""
        presets = self.about.presets
        return presets[preset] if preset in presets else next(iter(presets.values()))

    def fixed(self, conditions: Conditions) -> dict[str, Any]:
        """The preset's Recipe fields, overridden by the conditions: the starting point of `suggest`."""
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
        """The batch sizes to choose from."""
        if conditions.batch_size is not None:
            return (conditions.batch_size,)
        return (int(self.defaults(conditions.preset)["batch_size"]),)

    def relative_costs(self, conditions: Conditions) -> Mapping[str, float]:
        """Choice -> cost of a gradient step with it (Model.relative_cost); empty for a model of one size."""
        return {}

    def mean_cost(self, conditions: Conditions) -> float:
        """Of the relative costs, over an even mixture; 1 for a model of one size."""
        costs = self.relative_costs(conditions)
        return sum(costs.values()) / len(costs) if costs else 1.0

    def most_parameters(self, conditions: Conditions) -> int:
        """Number of scalars in the variables of its largest recipe."""
        return self.about.parameters(self.fixed(conditions))

    def published(self, preset: str) -> Sequence[Published]:
        """Published recipes to try first: the preset's default, then the model's other presets. May be extended."""
        about = self.about
        sources = {
            "laptop": f"{about.title} from scratch in minutes on a CPU, on the toy city",
            "zoo": about.published_at,
        }
        names = sorted(about.presets, key=lambda name: (name != preset, name))
        if preset in about.presets and preset != "laptop":
            names = [name for name in names if name != "laptop"]
        return [
            Published(
                f"{name} {about.name}",
                sources.get(name, f"{about.title}, preset {name}"),
                recipe_of(f"{name} {about.name}", {"model": about.name, **about.presets[name]}),
            )
            for name in names
        ]


def recipe_of(name: str, fields: Mapping[str, Any]) -> Recipe:
    """Build the published recipe called `name` from plain values. Raises UserError if it is invalid."""
    return recipes.build(fields, where=f"published recipe '{name}'")
