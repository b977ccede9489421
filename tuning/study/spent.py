"""Spent: what a trial has cost. The only place that adds up steps, seconds, GPU hours and bytes.

Ended trials have it in the journal. `spending.json` in the study's folder holds the wall time of the search, and the
cost of the running trials:

    {"wall_seconds": 812.4, "trials": {"3": {"steps": 1040, "training": 210.2, ...}}}

The driver counts what workers tell it. What a worker did just before its driver was killed, only the worker knows: it
writes its trial's cost into `cost.json` in the trial's folder, and each reader takes what is more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

FILE = "spending.json"
WORKERS_FILE = "cost.json"


@dataclass(frozen=True)
class Spent:
    """The cost of a trial, or of several.

    steps: gradient steps taken, also those that were taken twice because a kill had undone them.
    training: worker seconds in gradient steps. overhead: worker seconds in everything else.
    gpu_seconds: worker seconds times the GPUs that the worker had. unmetered: worker seconds of versions that did not
        store their GPUs.
    sent, received: bytes that its workers moved to the object store of the study, and from it.
    """

    steps: int = 0
    training: float = 0.0
    overhead: float = 0.0
    gpu_seconds: float = 0.0
    unmetered: float = 0.0
    sent: int = 0
    received: int = 0

    @property
    def seconds(self) -> float:
        """All worker seconds."""
        return self.training + self.overhead

    def gpu_hours(self, unmetered_gpus: float) -> float:
        """GPU hours. unmetered_gpus: GPUs of a worker in the `unmetered` seconds."""
        return (self.gpu_seconds + self.unmetered * unmetered_gpus) / 3600

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Spent) -> Spent:
        return Spent(*(one - less for one, less in zip(astuple(self), astuple(other), strict=True)))

    @classmethod
    def by_worker(cls, steps: int, training: float, overhead: float, gpus: float) -> Spent:
        """The cost of a worker that has so many GPUs."""
        return cls(steps, training, overhead, (training + overhead) * gpus)

    def with_workers(self, theirs: WorkersCost) -> Spent:
        """This cost, or what the workers counted where that is more; GPU seconds grow as all seconds do."""
        seconds, training = (
            max(self.seconds, theirs.training + theirs.overhead),
            max(self.training, theirs.training),
        )
        gpus = self.gpu_seconds / self.seconds if self.seconds else 0.0
        more = (seconds - self.seconds) * gpus
        return replace(
            self,
            steps=max(self.steps, theirs.steps),
            training=training,
            overhead=seconds - training,
            gpu_seconds=self.gpu_seconds + more,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Spent:
        """The cost that `to_dict` wrote."""
        return cls(**fields)


@dataclass(frozen=True)
class Price:
    """What a search pays for, in one currency.

    gpu_hour: an hour of one GPU. sent_gb, received_gb: 1e9 bytes that workers move to the object store, and from it.
    """

    gpu_hour: float
    sent_gb: float = 0.0
    received_gb: float = 0.0

    def of(self, spent: Spent, gpu_hours: float) -> float:
        """The cost of so many GPU hours, and of the bytes that were moved."""
        moved = spent.sent * self.sent_gb + spent.received * self.received_gb
        return gpu_hours * self.gpu_hour + moved / 1e9


@dataclass(frozen=True)
class WorkersCost:
    """What a trial has cost by its workers' own count, in all runs of the search. The fields are those of Spent."""

    steps: int = 0
    training: float = 0.0
    overhead: float = 0.0

    @classmethod
    def read(cls, trial: Path) -> WorkersCost:
        """The file in a trial's folder; nothing if there is none, or a power cut has left it empty."""
        try:
            return cls(**json.loads((trial / WORKERS_FILE).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return cls()

    def write(self, trial: Path) -> None:
        """Replace the file in a trial's folder."""
        _replace(trial / WORKERS_FILE, asdict(self))


def _replace(file: Path, fields: Mapping[str, Any]) -> None:
    """Replace a file of JSON atomically. It is not synced to disk: that, once a second, would slow a search."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(json.dumps(fields), encoding="utf-8")
    new.replace(file)


def total(costs: Iterable[Spent]) -> Spent:
    """The sum of all costs."""
    return sum(costs, start=Spent())


def stored(fields: Mapping[str, Any], last_step: int, continued_from: str) -> Spent:
    """The cost that a trial's attribute holds.

    Versions before 0.2.0 stored seconds only: their steps are those from the trial's start to `last_step`.
    continued_from: "" or, of a trial that continues another, the text that names the checkpoint it started from.
    """
    if "steps" in fields:
        return Spent.from_dict(fields)
    start = re.search(r"at step (\d+)", continued_from)
    training, overhead = fields.get("training", 0.0), fields.get("overhead", 0.0)
    steps = max(0, last_step - (int(start[1]) if start else 0))
    return Spent(steps, training, overhead, unmetered=training + overhead)


@dataclass(frozen=True)
class SpendingFile:
    """wall_seconds: for which drivers had the study open. trials: the cost of the running ones by number."""

    wall_seconds: float = 0.0
    trials: Mapping[int, Spent] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> SpendingFile:
        """The file in a study's folder, and what the trials' workers counted beyond it.

        Nothing is spent if there is no file, or a power cut has left it empty.
        """
        try:
            fields = json.loads((folder / FILE).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return cls()
        trials = {
            int(number): Spent.from_dict(spent).with_workers(WorkersCost.read(folder / "trials" / number))
            for number, spent in fields["trials"].items()
        }
        return cls(fields["wall_seconds"], trials)

    def write(self, folder: Path) -> None:
        """Replace the file in a study's folder."""
        trials = {str(number): spent.to_dict() for number, spent in self.trials.items()}
        _replace(folder / FILE, {"wall_seconds": self.wall_seconds, "trials": trials})
