"""Proposal: a recipe to try, with the sampled parameters that it was built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution

from trainers.recipe import Recipe


@dataclass(frozen=True)
class Proposal:
    """recipe: what to train. params: the sampled values by parameter. distributions: what each was sampled from."""

    recipe: Recipe
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
