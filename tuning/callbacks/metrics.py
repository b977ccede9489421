"""Metrics: a search's figures as gauges of Ray, which Prometheus scrapes from the cluster's nodes.

Ray puts `ray_` before the names below; each gauge has the label `study`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from tuning.search.callback import Callback
from tuning.search.limits.meter import Meter
from tuning.study import trial_record as records
from tuning.study.spent import Price
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_record import Rung, TrialRecord

STATES = ("running", "waiting", "completed", "pruned", "failed", "interrupted")
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "tuning_trials": ("trials by state", ("state",)),
    "tuning_best_value": ("the objective of the best trial", ("objective",)),
    "tuning_images_per_second": ("images trained on, sum over the running trials", ()),
    "tuning_gradient_steps": ("gradient steps of all trials", ()),
    "tuning_worker_seconds": ("seconds of all workers, in training and in the rest", ("part",)),
    "tuning_gpu_hours": ("GPU hours of all workers", ()),
    "tuning_store_bytes": ("bytes that workers moved to the object store and from it", ("direction",)),
    "tuning_cost": ("what the workers have cost so far, in the currency of the prices; 0 without any", ()),
    "tuning_losses": ("trials that had to go on elsewhere, by what was lost", ("what",)),
}
Set = Callable[[str, float, dict[str, str]], None]  # of a gauge by its name: value, labels


def ray_gauges() -> Set:
    """Sets gauges of the Ray that this process is connected to."""
    from ray.util.metrics import Gauge

    made: dict[str, Any] = {}

    def set_(name: str, value: float, labels: dict[str, str]) -> None:
        if name not in made:
            about, keys = GAUGES[name]
            made[name] = Gauge(name, description=about, tag_keys=("study", *keys))
        made[name].set(value, tags=labels)

    return set_


class Metrics(Callback):
    """Sets the gauges at each event.

    price: None for none. gauges: makes what sets them, at the first event, when Ray is there.
    """

    def __init__(
        self, study: Study, meter: Meter, price: Price | None = None, gauges: Callable[[], Set] = ray_gauges
    ) -> None:
        self._study, self._meter, self._price, self._gauges = study, meter, price or Price(0.0), gauges
        self._set: Set | None = None
        found = study.records()
        self._states = {record.number: record.state for record in found}
        self._losses = {record.number: record.losses for record in found}
        self._best = records.best(found)
        self._speed: dict[int, float] = {}

    def began(self, record: TrialRecord) -> None:
        """It is running."""
        self._update(record, "running")

    def progressed(self, result: StepResult) -> None:
        """Its speed, and what it has cost so far."""
        self._speed[result.trial] = result.images_per_second or self._speed.get(result.trial, 0.0)
        self._write()

    def reached(self, record: TrialRecord, rung: Rung) -> None:
        """It has a value, and goes on or waits."""
        self._best = records.best([record, *([self._best] if self._best else [])])
        self._update(record, "waiting" if rung.decision == "pause" else "running")

    def lost(self, record: TrialRecord) -> None:
        """Its worker or machine was lost."""
        self._update(record, "running")

    def ended(self, record: TrialRecord) -> None:
        """It has a verdict."""
        self._update(record, record.state)

    def _update(self, record: TrialRecord, state: str) -> None:
        self._states[record.number], self._losses[record.number] = state, record.losses
        if state != "running":
            self._speed.pop(record.number, None)
        self._write()

    def _write(self) -> None:
        self._set = self._set or self._gauges()
        study = {"study": self._study.name}
        counts = Counter(self._states.values())
        for state in STATES:
            self._set("tuning_trials", counts[state], study | {"state": state})
        if self._best is not None and self._best.value is not None:
            self._set(
                "tuning_best_value", self._best.value, study | {"objective": self._study.objective.name}
            )
        spent = self._meter.total()
        lost = [machine for each in self._losses.values() for machine in each]
        machines = sum(map(bool, lost))
        for name, value, labels in (
            ("tuning_images_per_second", sum(self._speed.values()), {}),
            ("tuning_gradient_steps", spent.steps, {}),
            ("tuning_worker_seconds", spent.training, {"part": "training"}),
            ("tuning_worker_seconds", spent.overhead, {"part": "overhead"}),
            ("tuning_gpu_hours", self._meter.gpu_hours, {}),
            ("tuning_store_bytes", spent.sent, {"direction": "sent"}),
            ("tuning_store_bytes", spent.received, {"direction": "received"}),
            ("tuning_cost", self._price.of(spent, self._meter.gpu_hours), {}),
            ("tuning_losses", machines, {"what": "machine"}),
            ("tuning_losses", len(lost) - machines, {"what": "process"}),
        ):
            self._set(name, value, study | labels)
