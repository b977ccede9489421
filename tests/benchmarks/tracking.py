"""What telling MLflow costs a search: the same search of curves with and without it, in turn.

    .venv/bin/python tests/benchmarks/tracking.py --trials 1000

A trial here has what one of a minute has: a curve of 200 points in chunks of 3 seconds, three rungs with all metrics,
two files. Its training takes no time, but each chunk is told before the next comes, as it would be. Measured are the CPU
seconds of this process and of the one that tells MLflow, and how long the search's own thread is kept by tracking.
MLflow's store is SQLite, the default, so that the one that tells does a server's work as well.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tuning")]

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from searches import CONDITIONS, SPACE, about  # noqa: E402

from trainers.detection.coco_metrics import COCO_NAMES  # noqa: E402
from tuning.search.callback import Callback  # noqa: E402
from tuning.search.sampler import SamplerContext  # noqa: E402
from tuning.search.samplers.tpe import TPESampler  # noqa: E402
from tuning.search.schedulers.halving import Halving  # noqa: E402
from tuning.search.search import Search  # noqa: E402
from tuning.study.step_result import StepResult  # noqa: E402
from tuning.study.study import Study  # noqa: E402
from tuning.tracking.callback import Tracking  # noqa: E402

MINUTE, CHUNK = 60.0, 3.0  # seconds
STEPS, RUNGS = 200, (40, 80, 200)
PARTS = ("classification", "localization", "regularization", "total")


class Timed(Callback):
    """Tracking, and the seconds that it keeps who calls it; `told` waits until it has told all it knows."""

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking
        self.seconds = 0.0

    def __getattribute__(self, name: str) -> Any:
        if name not in ("began", "progressed", "reached", "lost", "ended"):
            return super().__getattribute__(name)

        def timed(*arguments: Any) -> None:
            began = time.perf_counter()
            getattr(self.tracking, name)(*arguments)
            self.seconds += time.perf_counter() - began

        return timed

    def told(self) -> None:
        while self.tracking._due:
            time.sleep(0.001)


def search(trials: int, study: Study, timed: Timed | None) -> None:
    """The search."""
    callbacks = (timed,) if timed else ()
    halving = Halving(RUNGS, quorum=trials + 1)  # nobody is stopped
    sampler = TPESampler(SamplerContext(lambda trial: SPACE.suggest(trial, CONDITIONS), 1, study.objective))
    work = Search(study, sampler, halving, trials, (), callbacks)
    while (record := work.propose()) is not None:
        (study.trial_folder(record.number) / "pipeline.config").write_text("model {}\n" * 200)
        one_trial(work, record.number, timed)


def one_trial(work: Search, number: int, timed: Timed | None) -> None:
    """Report what the worker of a trial of a minute says."""
    every = round(STEPS * CHUNK / MINUTE)
    for last in range(every, STEPS + 1, every):
        if timed:
            timed.told()
        steps = list(range(last - every + 1, last + 1))
        curves = {f"training_loss/{part}": [1.0 / step for step in steps] for part in PARTS}
        curves["learning_rate"] = [0.001] * len(steps)
        seconds = last / STEPS * MINUTE
        if last not in RUNGS:
            work.report(StepResult(number, last, "progress", 26.0, steps, curves, seconds_training=seconds))
            continue
        mAP = last / STEPS * 0.5 + number * 1e-5
        metrics = dict.fromkeys(COCO_NAMES, mAP) | {
            f"AP/{name}": mAP for name in ("vehicle", "pedestrian", "cyclist")
        }
        metrics |= {f"validation_loss/{part}": 1 - mAP for part in PARTS}
        work.report(StepResult(number, last, "rung", 26.0, steps, curves, metrics, seconds_training=seconds))


def measure(trials: int, rounds: int) -> dict[str, Any]:
    """Both, in turn; each in a study of its own, beside an MLflow database that has its tables."""
    runs: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    for _ in range(rounds):
        for name, into in runs.items():
            with tempfile.TemporaryDirectory() as folder:
                into.append(once(Path(folder), trials, name == "with"))
    cpu = [a["cpu"] - b["cpu"] for a, b in zip(runs["with"], runs["without"], strict=True)]
    each = {"cpu": cpu, "kept": [run["kept"] for run in runs["with"]]}
    share = {name: _spread([value / trials / MINUTE for value in values]) for name, values in each.items()}
    return {"trials": trials, "cores": os.cpu_count(), "runs": runs, "share_of_a_minute": share}


def once(folder: Path, trials: int, tracked: bool) -> dict[str, float]:
    """One search; with everything that it leaves told."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    if tracked:
        from tuning.tracking.store import client

        client(uri).search_experiments()
    study = Study.open(folder / "street", about(max_steps=STEPS))
    timed = Timed(Tracking(study, uri, folder / "artifacts", STEPS)) if tracked else None
    cpu = sum(os.times()[:4])  # with that of children which have ended
    if timed:
        timed.tracking.start()
    search(trials, study, timed)
    if timed and (unlogged := timed.tracking.close(timeout=600)):
        raise SystemExit(f"not logged to MLflow: {unlogged}")
    found = {"cpu": sum(os.times()[:4]) - cpu, "kept": timed.seconds if timed else 0.0}
    study.close()
    return found


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def table(result: dict[str, Any]) -> Table:
    """What was measured, for people."""
    title = f"Telling MLflow of {result['trials']} trials, {result['cores']} cores"
    shown = Table(title=title, title_justify="left")
    for column in ("", "seconds for a trial", "of a trial of a minute (least to most)"):
        shown.add_column(column, justify="left" if not column else "right")
    names = {"cpu": "CPU, both processes", "kept": "the search's thread was kept"}
    for name, words in names.items():
        share = result["share_of_a_minute"][name]
        spread = f"{share['median']:.2%} ({share['least']:.2%} to {share['most']:.2%})"
        shown.add_row(words, f"{share['median'] * MINUTE:.3f}", spread)
    return shown


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--trials", type=int, default=1000)
    line.add_argument("--rounds", type=int, default=3)
    line.add_argument("--out", type=Path, help="write JSON there")
    options = line.parse_args()
    result = measure(options.trials, options.rounds)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    Console(width=110).print(table(result))


if __name__ == "__main__":
    main()
