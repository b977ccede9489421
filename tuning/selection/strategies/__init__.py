"""The strategies: one module each, which registers itself. To add one, add a module and its name to MODULES."""

from __future__ import annotations

import importlib

from trainers.errors import UserError
from tuning.selection.strategy import Strategy, registered

MODULES = (
    "random_choice", "entropy", "margin", "least_confident", "core_set", "diverse_entropy", "class_balanced",
    "disagreement", "flip_disagreement",
)  # fmt: skip


def all_strategies() -> dict[str, Strategy]:
    """Every strategy by name."""
    for module in MODULES:
        importlib.import_module(f"{__name__}.{module}")
    return registered()


def get(name: str) -> Strategy:
    """The strategy called `name`. Raises UserError, with the known names, if there is none."""
    known = all_strategies()
    if name not in known:
        raise UserError(f"unknown strategy '{name}'; known are {', '.join(known)}")
    return known[name]
