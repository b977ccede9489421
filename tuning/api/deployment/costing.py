"""The costs that a search needs of its networks: those of this machine or of a table, kept with the study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces.conditions import Conditions
from search_spaces.space import Seed, Space
from trainers.datasets.dataset import Dataset
from trainers.errors import UserError
from trainers.recipe import Recipe, architecture
from tuning.api.deployment import measuring, table
from tuning.api.deployment.architectures import architectures
from tuning.api.settings import Settings
from tuning.search.constraints import served_costs
from tuning.search.constraints.limit import DEFAULT_BACKEND, LATENCY, Limit
from tuning.search.constraints.sampler import SamplerWithinLimits
from tuning.search.constraints.served_costs import NO_COSTS, ServedCosts
from tuning.search.sampler import Sampler


def costs_of(
    settings: Settings,
    space: Space,
    conditions: Conditions,
    dataset: Dataset,
    folder: Path,
    say: Callable[[str], None],
    trainer: str | None = None,
) -> ServedCosts:
    """The costs of all networks of the space: those that the study in `folder` was begun with, else measured now.

    Without limits and further objectives nothing is measured.
    trainer: factory, "module:callable", instead of the models' own.
    Raises UserError when no network keeps to the limits, or a cost cannot be had.
    """
    limits = settings.limits
    if not limits and not settings.also:
        return NO_COSTS
    examples = architectures(space, conditions)
    kept = served_costs.read(folder)
    if any(each.architecture.fields not in [one.fields for one in kept.architectures] for each in examples):
        on = next((limit.on for limit in limits if limit.cost == LATENCY), "") or DEFAULT_BACKEND
        if Path(on).suffix:
            kept = table.read(Path(on), examples)
        else:
            kept = measuring.measured(examples, on, dataset, say, trainer)
    asked = {f"--limit {limit.text}": limit.cost for limit in limits}
    asked |= {f"--and {name}": name for name in settings.also}
    for flag, cost in asked.items():
        if any(cost not in each.costs for each in kept.architectures):
            raise UserError(f"{flag}: nobody has measured {cost} {kept.measured}; add it there")
    if not limits:
        return kept
    allowed = kept.within(limits)
    say(
        f"limits: {len(allowed)} of {len(kept.architectures)} networks keep to "
        f"{' and '.join(limit.text for limit in limits)} ({kept.measured})"
    )
    return kept


def within_limits(
    sampler: Sampler, seeds: Sequence[Seed], costs: ServedCosts, limits: Sequence[Limit], space: Space,
    conditions: Conditions,
) -> tuple[Sampler, list[Seed]]:  # fmt: skip
    """The sampler and the first recipes of a search that proposes nothing beyond the limits."""
    if not limits:
        return sampler, list(seeds)
    allowed = costs.within(limits)
    if len(allowed) == len(costs.architectures):
        return sampler, list(seeds)
    fields = [each.fields for each in allowed]

    def keeps(params: Mapping[str, Any]) -> bool:
        recipe: Recipe = space.replay(params, conditions).recipe
        return architecture(recipe.to_dict()) in fields

    left = [seed for seed in seeds if keeps(seed.params)]
    return SamplerWithinLimits(sampler, allowed, conditions.seed), left
