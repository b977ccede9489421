"""TrialBootstrap: the metrics of a trial, bootstrapped over the validation images; all trials share the resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainers.hardware.machine import cpus_here
from tuning.reporting.statistics.bootstrap import FEWEST_IMAGES, Bootstrapped, Resamples, draw_resamples
from tuning.study.reading import StudyRead
from tuning.study.trial_record import TrialRecord

# stored results whose objective differs by more from the recorded one belong to another evaluation, and are ignored
TOLERANCE = 0.001


@dataclass(frozen=True)
class TrialBootstrap:
    """A trial at its last rung: its bootstrapped objective, and by name the metrics that get intervals (Task.groups)."""

    objective: Bootstrapped
    metrics: Mapping[str, Bootstrapped]


def bootstrap_trials(study: StudyRead, records: Sequence[TrialRecord]) -> dict[int, TrialBootstrap]:
    """The bootstrap of each trial, by number, where its per-image results are stored and enough for an interval.

    Raises UserError if a file of results is damaged.
    """
    resamples: dict[int, Resamples] = {}

    def bootstrapped(record: TrialRecord) -> TrialBootstrap | None:
        results = study.task.read_results(study.folder / "trials" / str(record.number), record.step)
        if len(results) < FEWEST_IMAGES:
            return None
        if len(results) not in resamples:
            resamples[len(results)] = draw_resamples(len(results))
        found = bootstrap_trial(study, results, resamples[len(results)])
        if found is None or record.value is None:
            return None
        return found if abs(found.objective.value - record.value) < TOLERANCE else None

    with ThreadPoolExecutor(cpus_here()) as threads:  # NumPy releases the GIL
        return {r.number: e for r, e in zip(records, threads.map(bootstrapped, records), strict=True) if e}


def bootstrap_trial(study: StudyRead, results: Sequence[Any], resamples: Resamples) -> TrialBootstrap | None:
    """Bootstrap one trial's per-image results; None if the task cannot compute the objective from them."""
    classes = study.manifest.data["classes"]
    shown = [
        name for group in study.task.groups(classes) if group.intervals for name in group.metrics.values()
    ]
    names = [*dict.fromkeys([*study.objective.metrics, *shown])]
    found = study.task.resampled(
        results, classes, (resamples.all, resamples.resampled, resamples.halved), names
    )
    if any(name not in found for name in study.objective.metrics):
        return None

    def of(parts: Sequence[np.ndarray]) -> Bootstrapped:
        return Bootstrapped(float(parts[0][0]), parts[1], parts[2], resamples.images)

    weights = {name: weight for weight, name in study.objective.criteria[0].terms}
    objective = [
        np.sum([weight * found[name][part] for name, weight in weights.items()], axis=0) for part in range(3)
    ]
    metrics = {name: of(found[name]) for name in shown if name in found and not np.isnan(found[name][0][0])}
    return TrialBootstrap(of(objective), metrics)
