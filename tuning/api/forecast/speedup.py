"""How much faster a gradient step is on several CPUs; apart from speed.py, since --help should not import Optuna."""

from __future__ import annotations

from collections.abc import Collection

from trainers import model as models


def speedup(names: Collection[str], cpus: float) -> float:
    """The speedup of the models' gradient step on so many CPUs, against one; mean over the models."""
    return sum(models.get(name).cost.speedup(cpus) for name in names) / len(names)
