"""How often a report names a winner among equal trials, and one that is truly better; and how far luck lifts the best.

    .venv/bin/python tests/benchmarks/winners.py
    .venv/bin/python tests/benchmarks/winners.py --reports 100 --only 12

Each simulated report has trials whose detections of one class in `--images` images are drawn with the same quality
(tests/tuning/reporting/made_study.py), and judges them as the report on a study does: by mAP, with the intervals of
tuning.reporting. "plain" are intervals that know nothing of the choice of the best. Power is of two and of twelve trials
of which one is better by twice the standard error of a paired difference.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tuning" / "reporting")]

import made_study  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402
from rich.table import Table  # noqa: E402

from trainers.detection import matching  # noqa: E402
from trainers.detection.matching import ClassMatches  # noqa: E402
from tuning.reporting.context import BOOTSTRAPPED  # noqa: E402
from tuning.reporting.statistics.bootstrap import Bootstrapped, bootstrap_metric, draw_resamples  # noqa: E402
from tuning.reporting.statistics.selection import without_luck  # noqa: E402

OUT = Path(__file__).parent / "results" / "winners.json"
QUALITY, CLASSES, RESAMPLES = 0.7, 1, 300
AHEAD = 2.0  # standard errors of a paired difference


def detections(trials: int, images: int, report: int) -> list[list[ClassMatches]]:
    """What each of these equally good trials finds, matched with the true boxes."""
    true = made_study.truth(images, CLASSES, seed=report)
    return [
        matching.match(made_study.found(true, QUALITY, CLASSES, report * 1000 + trial), CLASSES)
        for trial in range(trials)
    ]


def mean_ap(found: list[ClassMatches], images: int) -> float:
    """On all images."""
    return float(matching.mean_average_precision(found, np.ones((1, images), np.int32))[0])


def drawn(trials: int, images: int, report: int) -> list[Bootstrapped]:
    """Equal trials, best first; those that a report would not bootstrap have their value only."""
    found = detections(trials, images, report)
    found.sort(key=lambda each: -mean_ap(each, images))
    resamples = draw_resamples(images, RESAMPLES)
    return [
        bootstrap_metric(partial(matching.mean_average_precision, each), resamples)
        if place < BOOTSTRAPPED
        else Bootstrapped(mean_ap(each, images), np.zeros(0), np.zeros(0), images)
        for place, each in enumerate(found)
    ]


def judged(report: int, trials: int, images: int, error: float) -> dict[str, float]:
    """What one report says of equal trials, and where one of them is better by AHEAD times `error`."""
    found = drawn(trials, images, report)
    shown, others = found[:BOOTSTRAPPED], found[BOOTSTRAPPED:]
    mean = float(np.mean([each.value for each in found]))
    said = {
        "equal: names a winner": _names(shown, trials),
        "equal: plain intervals name one": _names(shown, 2),
        "equal: best above the mean": found[0].value - mean,
        "equal: corrected above the mean": without_luck(shown, [each.value for each in others]) - mean,
    }
    if others:
        return said
    better, lift = report % trials, AHEAD * error  # of any rank
    one = found.pop(better)
    lifted = Bootstrapped(one.value + lift, one.resampled + lift, one.halved + lift, images)
    found = sorted([lifted, *found], key=lambda each: -each.value)
    return said | {
        "one better: is named": found[0] is lifted and _names(found, trials),
        "one better: another is named": found[0] is not lifted and _names(found, trials),
    }


def _names(ranked: Sequence[Bootstrapped], among: int) -> bool:
    return any((ranked[0] - other).interval(among).excludes_zero for other in ranked[1:])


def paired_error(images: int, reports: int = 200) -> float:
    """The standard error of the difference of two equal trials: its standard deviation over simulated reports."""
    pairs = (detections(2, images, 10**6 + report) for report in range(reports))
    return float(
        np.sqrt(np.mean([(mean_ap(one, images) - mean_ap(other, images)) ** 2 for one, other in pairs]))
    )


def over(trials: int, reports: int, images: int, error: float) -> dict[str, Any]:
    """The mean of what each report says."""
    judge = partial(judged, trials=trials, images=images, error=error)
    with ProcessPoolExecutor() as pool:
        done = pool.map(judge, range(reports), chunksize=5)
        console = Console(stderr=True)
        rows = list(track(done, f"{trials} trials", reports, console=console))
    return {"reports": reports} | {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def table(result: dict[str, Any]) -> Table:
    """All figures, for people."""
    shown = Table("trials", "reports", "measure", "share or mAP", title=f"{result['images']} images")
    for trials, row in result["trials"].items():
        for name, value in row.items():
            if name != "reports":
                shown.add_row(str(trials), str(row["reports"]), name, f"{value:.3f}")
    return shown


def main() -> None:
    """Simulate, print and write."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument(
        "--reports", type=int, default=1000, help="of 2 and of 12 trials; a fifth as many of 100"
    )
    line.add_argument("--images", type=int, default=60)
    line.add_argument("--only", type=int, choices=(2, 12, 100))
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    counts = {2: chosen.reports, 12: chosen.reports, 100: chosen.reports // 5}
    wanted = [trials for trials in counts if chosen.only in (None, trials)]
    error = paired_error(chosen.images)
    result = {"images": chosen.images, "standard error of a paired difference": error, "trials": {}}
    for trials in wanted:
        result["trials"][trials] = over(trials, counts[trials], chosen.images, error)
    Console(width=110).print(table(result))
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
