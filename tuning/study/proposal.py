"""Proposal: a recipe to try, and the suggestions that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution

from trainers.recipe import Recipe


@dataclass(frozen=True)
class Proposal:
    """A recipe; the values that were suggested for it, by parameter, and what each could have been."""

    recipe: Recipe
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
