"""Evidence: what the detections of the foremost trials say of their mAP, on the same draws of validation images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.detection import matching
from trainers.detection.coco_metrics import ImageResult
from tuning.reporting.statistics.bootstrap import FEWEST_IMAGES, Draws, Sampled, draws
from tuning.study import detections
from tuning.study.trial_record import TrialRecord

AGREES = 0.001  # detections that give another mAP than was recorded are not the ones it was measured on


@dataclass(frozen=True)
class Evidence:
    """A trial at its last rung: its mAP, and the AP of each class that has a true box, on the draws."""

    mAP: Sampled
    classes: Mapping[str, Sampled]


def gather(folder: Path, records: Iterable[TrialRecord], classes: tuple[str, ...]) -> dict[int, Evidence]:
    """By trial number; without those whose detections were not kept, or are too few for an interval.

    folder: the study's. Raises UserError when a file is damaged.
    """
    drawn: dict[int, Draws] = {}

    def measured(record: TrialRecord) -> Evidence | None:
        results = detections.read(folder / "trials" / str(record.number), record.step)
        if len(results) < FEWEST_IMAGES:
            return None
        if len(results) not in drawn:
            drawn[len(results)] = draws(len(results))
        evidence = weigh(results, classes, drawn[len(results)])
        agrees = record.mAP is not None and abs(evidence.mAP.value - record.mAP) < AGREES
        return evidence if agrees else None

    known = list(records)
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # NumPy lets them run at once
        return {r.number: e for r, e in zip(known, threads.map(measured, known), strict=True) if e}


def weigh(results: list[ImageResult], classes: tuple[str, ...], drawn: Draws) -> Evidence:
    """What the draws make of one trial's results."""
    matches = matching.match(results, len(classes))
    parts = [matching.average_precision(matches, each) for each in (drawn.all, drawn.resampled, drawn.halved)]

    def sampled(values: list[np.ndarray]) -> Sampled:
        return Sampled(float(values[0][0]), values[1], values[2], drawn.images)

    by_class = [part.mean(axis=1) for part in parts]
    return Evidence(
        sampled([matching.mean(part) for part in parts]),
        {
            name: sampled([values[:, label] for values in by_class])
            for label, name in enumerate(classes)
            if not np.isnan(by_class[0][0, label])
        },
    )
