"""The tuning tasks of Taskset: 1,000 recipes each, with the validation loss of each after every evaluation.

Needs NumPy alone, so that an arm of another package can import it in an environment without this project.
The tables are those that the authors of DyHPO publish (Wistuba, Kadra and Grabocka 2022), made from Metz et al. 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "taskset" / "taskset.npz"
LINEAR = ("beta1", "beta2")  # all other hyperparameters are searched in logarithms


@dataclass(frozen=True, eq=False)
class TuningTask:
    """One table.

    names: of the H hyperparameters. values: (N, H) float, those of each recipe.
    losses: (N, S) float, the validation loss of each recipe after each of S evaluations; NaN once it has diverged.
    """

    name: str
    names: tuple[str, ...]
    values: np.ndarray
    losses: np.ndarray

    @property
    def length(self) -> int:
        """Evaluations of a full training."""
        return int(self.losses.shape[1])

    @cached_property
    def ranges(self) -> dict[str, tuple[float, float, bool]]:
        """By hyperparameter: smallest and largest value in the table, and whether it is searched in logarithms."""
        low, high = self.values.min(axis=0), self.values.max(axis=0)
        return {
            name: (float(low[at]), float(high[at]), name not in LINEAR) for at, name in enumerate(self.names)
        }

    def unit(self, values: np.ndarray) -> np.ndarray:
        """Hyperparameters (..., H) on the scale on which they are searched, 0 to 1."""
        logarithmic = np.array([name not in LINEAR for name in self.names])
        low, high = self.values.min(axis=0), self.values.max(axis=0)

        def scaled(numbers: np.ndarray) -> np.ndarray:
            return np.where(logarithmic, np.log(numbers), numbers)

        return (scaled(values) - scaled(low)) / (scaled(high) - scaled(low))

    @cached_property
    def units(self) -> np.ndarray:
        """All recipes, (N, H), on that scale."""
        return self.unit(self.values)

    def hyperparameters(self, recipe: int) -> dict[str, float]:
        """Those of a recipe, by name."""
        return dict(zip(self.names, map(float, self.values[recipe]), strict=True))

    def loss(self, recipe: int, step: int) -> float:
        """Of a recipe after so many evaluations, from 1; NaN if it has diverged."""
        return float(self.losses[recipe, step - 1])

    def regret(self, loss: float) -> float:
        """0 for the best recipe of the table, 1 for what a recipe has after its first evaluation (the median of all)."""
        best, untrained = np.nanmin(self.losses[:, -1]), np.nanmedian(self.losses[:, 0])
        return float(np.clip((loss - best) / (untrained - best), 0.0, 1.0))


class Untaken:
    """The recipes of a task that no trial has yet: a proposal becomes the nearest one of them."""

    def __init__(self, task: TuningTask) -> None:
        self._task = task
        self._taken = np.zeros(len(task.values), bool)

    def nearest(self, hyperparameters: dict[str, float]) -> int:
        """The recipe with the smallest mean distance of the hyperparameters; it is then taken."""
        at = self._task.unit(np.array([float(hyperparameters[name]) for name in self._task.names]))
        distances = np.where(self._taken, np.inf, np.abs(self._task.units - at).sum(axis=1))
        recipe = int(np.argmin(distances))
        self._taken[recipe] = True
        return recipe


def read(path: Path) -> dict[str, TuningTask]:
    """All tasks of the file, by name, in alphabetical order."""
    with np.load(path, allow_pickle=False) as kept:
        names = tuple(str(name) for name in kept["hyperparameters"])
        tasks = sorted(key.removesuffix("/hp") for key in kept.files if key.endswith("/hp"))
        return {
            name: TuningTask(
                name, names, kept[f"{name}/hp"].astype(float), kept[f"{name}/valid"].astype(float)
            )
            for name in tasks
        }
