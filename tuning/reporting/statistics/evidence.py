"""Evidence: what the results of the foremost trials say of their metrics, on the same draws of validation images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuning.reporting.statistics.bootstrap import FEWEST_IMAGES, Draws, Sampled, draws
from tuning.study.reading import StudyRead
from tuning.study.trial_record import TrialRecord

AGREES = 0.001  # results that give another objective than was recorded are not the ones it was measured on


@dataclass(frozen=True)
class Evidence:
    """A trial at its last rung: its objective on the draws, and by name the metrics that a report gives intervals of."""

    objective: Sampled
    metrics: Mapping[str, Sampled]


def gather(study: StudyRead, records: Sequence[TrialRecord]) -> dict[int, Evidence]:
    """By trial number; without those whose results were not kept, or are too few for an interval.

    Raises UserError when a file is damaged.
    """
    drawn: dict[int, Draws] = {}

    def measured(record: TrialRecord) -> Evidence | None:
        results = study.task.read_results(study.folder / "trials" / str(record.number), record.step)
        if len(results) < FEWEST_IMAGES:
            return None
        if len(results) not in drawn:
            drawn[len(results)] = draws(len(results))
        found = weigh(study, results, drawn[len(results)])
        if found is None or record.value is None:
            return None
        return found if abs(found.objective.value - record.value) < AGREES else None

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # NumPy lets them run at once
        return {r.number: e for r, e in zip(records, threads.map(measured, records), strict=True) if e}


def weigh(study: StudyRead, results: Sequence[Any], drawn: Draws) -> Evidence | None:
    """What the draws make of one trial's results; None where the objective cannot be told from them."""
    classes = study.manifest.data["classes"]
    shown = [
        name for group in study.task.groups(classes) if group.intervals for name in group.metrics.values()
    ]
    names = [*dict.fromkeys([*study.objective.metrics, *shown])]
    found = study.task.resampled(results, classes, (drawn.all, drawn.resampled, drawn.halved), names)
    if any(name not in found for name in study.objective.metrics):
        return None

    def sampled(parts: Sequence[np.ndarray]) -> Sampled:
        return Sampled(float(parts[0][0]), parts[1], parts[2], drawn.images)

    weights = {name: weight for weight, name in study.objective.criteria[0].terms}
    objective = [
        np.sum([weight * found[name][part] for name, weight in weights.items()], axis=0) for part in range(3)
    ]
    known = {
        name: sampled(found[name]) for name in shown if name in found and not np.isnan(found[name][0][0])
    }
    return Evidence(sampled(objective), known)
