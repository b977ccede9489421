"""How often a report names a winner among equal trials, and one that is truly better; and how far luck lifts the best.

    .venv/bin/python tests/benchmarks/winners.py
    .venv/bin/python tests/benchmarks/winners.py --metric map --reports 200 --only 12

Each simulated report has trials that are equally good, and judges them as the report on a study does, with the intervals
of tuning.reporting: by the mean recall of images that are easy or hard for all trials, or by mAP (`--metric map`, slow:
of detections of one class, tests/tuning/reporting/made_study.py). "plain" are intervals that know nothing of the choice
of the best. Coverage of the best trial's leads is one minus the share of reports that name a winner. Power is where one
trial is better by twice the standard error of a paired difference.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
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
from tuning.reporting.context import BOOTSTRAPPED  # noqa: E402
from tuning.reporting.statistics.bootstrap import (  # noqa: E402
    Bootstrapped,
    Resamples,
    bootstrap_metric,
    draw_resamples,
)
from tuning.reporting.statistics.selection import without_luck  # noqa: E402

OUT = Path(__file__).parent / "results" / "winners.json"
QUALITY, CLASSES, RESAMPLES = 0.7, 1, 1000
AHEAD = 2.0  # standard errors of a paired difference
# by number of trials: of 1,000 reports on 2 equal trials, 5% would be 3.6% to 6.4% by chance alone
REPORTS = {2: 20_000, 12: 4_000, 100: 1_000}


Measure = Callable[[np.ndarray], np.ndarray]  # (B, N) counts of images -> (B,) values


def by_map(trials: int, images: int, report: int) -> list[Measure]:
    """mAP of what each of these equally good trials finds."""
    true = made_study.truth(images, CLASSES, seed=report)
    found = [made_study.found(true, QUALITY, CLASSES, report * 1000 + trial) for trial in range(trials)]
    return [partial(matching.mean_average_precision, matching.match(each, CLASSES)) for each in found]


def by_recall(trials: int, images: int, report: int) -> list[Measure]:
    """Mean over the images of the share of boxes that each of these equally good trials finds."""
    rng = np.random.default_rng(report)
    boxes, easy = (
        rng.integers(1, 8, images),
        rng.beta(3, 1.3, images),
    )  # images are easy or hard for all trials
    shares = rng.binomial(boxes, easy, (trials, images)) / boxes
    return [partial(_weighted_mean, each) for each in shares]


def _weighted_mean(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    means: np.ndarray = counts @ values / counts.sum(axis=1)
    return means


METRICS = {"recall": by_recall, "map": by_map}


def drawn(trials: int, images: int, report: int, metric: str) -> list[Bootstrapped]:
    """Equal trials, best first; those that a report would not bootstrap have their value only."""
    everything = np.ones((1, images), np.int32)
    found = [(float(each(everything)[0]), each) for each in METRICS[metric](trials, images, report)]
    found.sort(key=lambda pair: -pair[0])
    resamples = _resamples(images)
    return [
        bootstrap_metric(measure, resamples)
        if place < BOOTSTRAPPED
        else Bootstrapped(value, np.zeros(0), np.zeros(0), images)
        for place, (value, measure) in enumerate(found)
    ]


@cache
def _resamples(images: int) -> Resamples:
    return draw_resamples(images, RESAMPLES)


def judged(report: int, trials: int, images: int, metric: str, error: float) -> dict[str, float]:
    """What one report says of equal trials, and where one of them is better by AHEAD times `error`."""
    found = drawn(trials, images, report, metric)
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


def paired_error(images: int, metric: str, reports: int = 200) -> float:
    """The standard error of the difference of two equal trials: its standard deviation over simulated reports."""
    everything = np.ones((1, images), np.int32)
    pairs = (METRICS[metric](2, images, 10**6 + report) for report in range(reports))
    return float(np.sqrt(np.mean([(one(everything)[0] - other(everything)[0]) ** 2 for one, other in pairs])))


def over(trials: int, reports: int, images: int, metric: str, error: float) -> dict[str, Any]:
    """The mean of what each report says."""
    judge = partial(judged, trials=trials, images=images, metric=metric, error=error)
    with ProcessPoolExecutor() as pool:
        done = pool.map(judge, range(reports), chunksize=5)
        console = Console(stderr=True)
        rows = list(track(done, f"{trials} trials", reports, console=console))
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    share = found["equal: names a winner"]
    error = float(np.sqrt(share * (1 - share) / reports))
    return {"reports": reports} | found | {"equal: standard error of the share that names a winner": error}


def table(result: dict[str, Any]) -> Table:
    """All figures, for people."""
    shown = Table(
        "trials",
        "reports",
        "measure",
        "share or mAP",
        title=f"{result['metric']} on {result['images']} images",
    )
    for trials, row in result["trials"].items():
        for name, value in row.items():
            if name != "reports":
                shown.add_row(str(trials), str(row["reports"]), name, f"{value:.3f}")
    return shown


def main() -> None:
    """Simulate, print and write."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--reports", type=int, help=f"for each number of trials (default: {REPORTS})")
    line.add_argument("--images", type=int, default=60)
    line.add_argument(
        "--metric", choices=METRICS, default="recall", help="map takes a CPU second for each report"
    )
    line.add_argument("--only", type=int, choices=REPORTS)
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    counts = {trials: chosen.reports or reports for trials, reports in REPORTS.items()}
    wanted = [trials for trials in counts if chosen.only in (None, trials)]
    error = paired_error(chosen.images, chosen.metric)
    result: dict[str, Any] = {"images": chosen.images, "metric": chosen.metric, "trials": {}}
    result["standard error of a paired difference"] = error
    for trials in wanted:
        result["trials"][trials] = over(trials, counts[trials], chosen.images, chosen.metric, error)
    Console(width=110).print(table(result))
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
