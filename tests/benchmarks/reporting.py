"""How long the report on a large study takes, how large it is, and what a thousand bootstrap resamples cost.

    .venv/bin/python tests/benchmarks/reporting.py --trials 1000

The study is made up (tests/tuning/reporting/made_study.py): every trial has its rungs, curve and detections. The
bootstrap is of one trial's detections in `--images` images. Seconds are of the wall and of the CPU: on a machine that
does other work, the wall says little.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tuning" / "reporting")]

import made_study  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from tuning import report  # noqa: E402
from tuning.reporting.statistics import trial_bootstrap  # noqa: E402
from tuning.reporting.statistics.bootstrap import RESAMPLES, draw_resamples  # noqa: E402
from tuning.study import reading  # noqa: E402
from tuning.study.reading import StudyRead  # noqa: E402


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Seconds of the wall and of the CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def bootstrap(study: StudyRead, images: int) -> Callable[[], object]:
    """What a report does for each of the best trials."""
    classes = made_study.CLASSES
    results = made_study.found(made_study.truth(images, len(classes)), 0.7, len(classes), 1)
    return lambda: trial_bootstrap.bootstrap_trial(study, results, draw_resamples(images))


def measure(trials: int, images: int, rounds: int) -> dict[str, Any]:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "street"
        made_study.make(study, trials, space="all")
        built = [timed(lambda: report.main([str(study)])) for _ in range(rounds)]
        size = (study / "report.html").stat().st_size / 1e6
        resampled = [timed(bootstrap(reading.read("street", Path(folder)), images)) for _ in range(rounds)]
    return {
        "trials": trials, "images": images, "resamples": RESAMPLES, "cores": os.cpu_count(),
        "report": built, "report_megabytes": size, "bootstrap": resampled,
    }  # fmt: skip


def table(result: dict[str, Any]) -> Table:
    """What was measured, for people."""
    shown = Table("", "wall, seconds", "CPU, seconds", title=f"{result['cores']} cores", title_justify="left")
    size = result["report_megabytes"]
    rows = {
        f"report on {result['trials']:,} trials ({size:.1f} MB)": result["report"],
        f"{result['resamples']:,} resamples of {result['images']:,} images": result["bootstrap"],
    }
    for name, runs in rows.items():
        spread = [sorted(run[clock] for run in runs) for clock in ("wall", "cpu")]
        shown.add_row(name, *(f"{values[0]:.1f} to {values[-1]:.1f}" for values in spread))
    return shown


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--trials", type=int, default=1000)
    line.add_argument("--images", type=int, default=1000)
    line.add_argument("--rounds", type=int, default=3)
    line.add_argument("--out", type=Path, help="write JSON there")
    options = line.parse_args()
    result = measure(options.trials, options.images, options.rounds)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    Console(width=110).print(table(result))


if __name__ == "__main__":
    main()
