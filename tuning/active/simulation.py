"""Simulation: its settings, the folder in which its cycles are kept, and which settings may change when it goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainers import recipe as recipes
from trainers.datasets.dataset import Dataset
from trainers.errors import UserError
from trainers.files import replace_folder, write_text
from trainers.recipe import Recipe

NAME = "simulation.json"


@dataclass(frozen=True)
class Simulation:
    """What is simulated.

    folder: of all its files. data: fingerprint of the data set, whose training images are the pool.
    recipe: of every training but for its seed. strategies: names, the control's last. seeds: 0, 1, ... below this.
    initial: images that are labelled at random before the first cycle, the same for all strategies of a seed.
    batch: images that each cycle labels. cycles: how often.
    candidates: images among which a cycle picks, others in each; None for all that have no labels yet.
    fine_tune: begin each training with the weights of the cycle before. frame_gap: see picking.pick.
    search_every: cycles after which the recipe is searched anew, from cycle 0 on; 0 for never.
    search_trials: recipes that such a search trains.
    """

    folder: Path
    data: str
    recipe: Recipe
    strategies: tuple[str, ...]
    seeds: int
    initial: int
    batch: int
    cycles: int
    candidates: int | None
    fine_tune: bool
    frame_gap: int
    search_every: int = 0
    search_trials: int = 1

    def searches(self, step: Step) -> bool:
        """Whether the recipe is searched anew in this step."""
        return bool(self.search_every) and step.cycle % self.search_every == 0

    @property
    def labels(self) -> list[int]:
        """Labelled images after each cycle, from cycle 0, whose images are the initial ones."""
        return [self.initial + self.batch * cycle for cycle in range(self.cycles + 1)]

    def steps(self) -> Iterator[Step]:
        """All steps, each after the one that it needs; those of a seed together."""
        for seed in range(self.seeds):
            yield Step(seed, None, 0)
            for strategy in self.strategies:
                for cycle in range(1, self.cycles + 1):
                    yield Step(seed, strategy, cycle)

    def path(self, step: Step) -> Path:
        """The folder of a step."""
        seed = self.folder / f"seed-{step.seed}"
        return seed / "start" if step.strategy is None else seed / step.strategy / f"cycle-{step.cycle}"

    def candidates_of(self, seed: int, cycle: int, images: int) -> tuple[np.ndarray, np.ndarray]:
        """The initial images of a seed, and those that may be picked in a cycle: positions among `images`, (N,) int64.

        The second may hold images that are labelled already.
        """
        order = np.random.default_rng(seed).permutation(images)
        rest = order[self.initial :]
        if self.candidates is not None:
            rest = rest[(cycle - 1) * self.candidates : cycle * self.candidates]
        return np.sort(order[: self.initial]), np.sort(rest)

    def check(self, dataset: Dataset) -> None:
        """Raise UserError if the training images are too few."""
        there, wanted = dataset.train.images, self.labels[-1]
        if wanted > there:
            raise UserError(
                f"--initial {self.initial} and {self.cycles} cycles of --batch {self.batch} need {wanted} training "
                f"images, and {dataset.name} has {there}; give smaller ones"
            )
        if self.candidates is not None and self.initial + self.candidates * self.cycles > there:
            raise UserError(
                f"--initial {self.initial} and {self.cycles} cycles of --candidates {self.candidates} need "
                f"{self.initial + self.candidates * self.cycles} training images, and {dataset.name} has {there}; give "
                "smaller ones"
            )

    def begin(self) -> None:
        """Write simulation.json. Raises UserError if the folder is of another simulation, or of something else.

        Strategies and seeds may be added to a simulation; nothing else may change.
        """
        file, fixed = self.folder / NAME, self._fixed()
        if file.is_file():
            there = _read(file)
            for name, value in fixed.items():
                if there.get(name, 0) != value:
                    shown = "" if name == "recipe" else f" ({there.get(name)}, not {value})"
                    raise UserError(
                        f"{self.folder}: was begun with another {name.replace('_', '-')}{shown}; give another --name"
                    )
        elif self.folder.exists():
            raise UserError(f"{self.folder}: is no simulation; give another --name")
        asked = {"strategies": list(self.strategies), "seeds": self.seeds}
        text = json.dumps(fixed | asked, indent=1) + "\n"
        if self.folder.exists():
            write_text(file, text)
            return
        with replace_folder(self.folder) as new:
            (new / NAME).write_text(text, encoding="utf-8")

    def _fixed(self) -> dict[str, Any]:
        names = ("data", "initial", "batch", "cycles", "candidates", "fine_tune", "frame_gap")
        searched = ("search_every", *(("search_trials",) if self.search_every else ()))
        return {name: getattr(self, name) for name in (*names, *searched)} | {"recipe": self.recipe.to_dict()}


@dataclass(frozen=True)
class Step:
    """One training: a cycle of a strategy with a seed. strategy: None for cycle 0, which all strategies share."""

    seed: int
    strategy: str | None
    cycle: int

    @property
    def before(self) -> Step | None:
        """The step whose detector and labels this one begins with."""
        if self.strategy is None:
            return None
        return Step(self.seed, self.strategy if self.cycle > 1 else None, self.cycle - 1)

    def __str__(self) -> str:
        return f"{self.strategy or 'start'}, seed {self.seed}, cycle {self.cycle}"


def _read(file: Path) -> Mapping[str, Any]:
    try:
        fields: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return fields | {"recipe": recipes.build(fields["recipe"]).to_dict()}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file}: cannot be read ({' '.join(str(error).split())[:120]})") from None
