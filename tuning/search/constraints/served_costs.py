"""ServedCosts: what each architecture of a study costs when it is served, measured before anything was trained."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainers.errors import UserError
from trainers.files import write_text
from trainers.recipe import architecture
from tuning.search.constraints.limit import Limit
from tuning.study.step_result import StepResult

FILE = "served_costs.json"  # in the study's folder


@dataclass(frozen=True)
class Architecture:
    """A network that a space may propose.

    fields: recipe fields that determine it (trainers.recipe.architecture). choices: parameters of the space that lead to
    it, by name; the others may be anything. costs: by name (tuning.search.constraints.limit.COSTS).
    """

    fields: Mapping[str, Any]
    choices: Mapping[str, Any] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """In a few words: its model, then the others as `image_size=320`."""
        model, *others = self.fields.items()
        return " ".join([str(model[1]), *(f"{name}={value}" for name, value in others)])

    def excess(self, limits: Iterable[Limit]) -> float:
        """By what share the costs are above the limits, added up; 0 if they are within all of them."""
        return sum(limit.excess(self.costs) for limit in limits)


@dataclass(frozen=True)
class ServedCosts:
    """The architectures of a study with their costs; empty where nobody asked for any.

    measured: where and how, for people.
    """

    architectures: Sequence[Architecture] = ()
    measured: str = ""

    def of(self, recipe: Mapping[str, Any]) -> Mapping[str, float]:
        """The costs of a recipe's network; {} for one that was not measured."""
        wanted = architecture(recipe) if self.architectures else {}
        return next((each.costs for each in self.architectures if each.fields == wanted), {})

    def added(self, result: StepResult, recipe: Mapping[str, Any]) -> StepResult:
        """The message with the costs of its trial's network among its metrics."""
        return dataclasses.replace(result, metrics={**result.metrics, **self.of(recipe)})

    def within(self, limits: Sequence[Limit]) -> list[Architecture]:
        """The architectures that keep to all limits. Raises UserError, with the nearest one, if none does."""
        found = [each for each in self.architectures if each.excess(limits) == 0]
        if not found:
            nearest = min(self.architectures, key=lambda each: each.excess(limits))
            shown = ", ".join(f"{limit.cost} {nearest.costs[limit.cost]:.3g}" for limit in limits)
            asked = " ".join(f"--limit {limit.text}" for limit in limits)
            count = len(self.architectures)
            raise UserError(
                f"{asked}: none of the {count} networks of this space keeps to it; the nearest, {nearest}, has {shown}; "
                "raise the limit, or choose a smaller --image-size or another --space"
                if count > 1
                else f"{asked}: the only network of this space, {nearest}, has {shown}; raise the limit, or choose a "
                "smaller --image-size or another --space"
            )
        return found

    def write(self, folder: Path) -> None:
        """Into a study's folder; atomic."""
        rows = [
            {"architecture": dict(each.fields), "choices": dict(each.choices), "costs": dict(each.costs)}
            for each in self.architectures
        ]
        text = json.dumps({"measured": self.measured, "networks": rows}, indent=1, ensure_ascii=False)
        write_text(folder / FILE, text + "\n")


NO_COSTS = ServedCosts()


def read(folder: Path) -> ServedCosts:
    """Those of the study in `folder`. Raises UserError when the file is damaged."""
    path = folder / FILE
    if not path.is_file():
        return NO_COSTS
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        rows = [Architecture(row["architecture"], row["choices"], row["costs"]) for row in kept["networks"]]
        return ServedCosts(rows, kept["measured"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: is damaged ({' '.join(str(error).split())}); restore it from your backup"
        ) from None
