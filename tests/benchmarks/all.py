"""Runs each benchmark in a short form, half an hour in all, and prints one table: `make benchmarks`.

    .venv/bin/python tests/benchmarks/all.py
    .venv/bin/python tests/benchmarks/all.py --only conversion rungs

Short forms are noisy: they show that a benchmark runs, and roughly where its figure is. Quote the full runs, in
docs/benchmarks.md; the last column names the commit of each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
Seen = tuple[float, float, float]  # median, least, most


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    script: its path from here; short: the arguments of its short form. measure: what it measures.
    goal: what it should be, for people. read: of its JSON, the measure's median, least and most.
    """

    script: str
    short: Sequence[str]
    measure: str
    goal: str
    read: Callable[[Any], Seen]

    @property
    def name(self) -> str:
        """The script's name."""
        return Path(self.script).stem

    def last_full_run(self) -> str:
        """The commit that the results of the last full run came with; a dash without git or results."""
        results = HERE / "results" / f"{self.name}.json"
        log = ["git", "log", "-1", "--format=%h", "--", str(results)]
        done = subprocess.run(log, cwd=HERE, capture_output=True, text=True, check=False)
        return done.stdout.strip() or "–"


def spread(values: Sequence[float]) -> Seen:
    """Median, least and most."""
    return statistics.median(values), min(values), max(values)


def ratios(over: Sequence[float], under: Sequence[float]) -> Seen:
    """Of the ratios, pair by pair."""
    return spread([a / b for a, b in zip(over, under, strict=False)])


def _faster(result: Any) -> Seen:
    found = result["times_faster"]["command"]
    return found["median"], found["least"], found["most"]


def _threads(result: Any) -> Seen:
    found = result["images_per_second"]["mobilenet"]
    return ratios(found["one on each"], found["one on all"])


def _efficiency(result: Any) -> Seen:
    found = result["searches"]["promote"]["times cheaper than random, best of 20"]
    return found[0], found[1], found[2]


def _regret(result: Any) -> Seen:
    found = result["1 at once"]["this search"]["20"]["regret"]
    return found[0], found[0] - found[1], found[0] + found[1]


def _rung(result: Any) -> Seen:
    rows = result["the loss with regularization"]["rows"]
    rung = next(r for r in rows if r["judged by"] != "mAP" and r["statistics"] == "estimated anew")
    return rung["correlation"], rung["interval"][0], rung["interval"][1]


def _cold(result: Any) -> Seen:
    return spread(result["seconds"]["mobilenet"]["cold"])


BENCHMARKS = (
    Benchmark("empty_trial.py", ["--trials", "40", "--rounds", "1"], "seconds of an empty trial", "0.1",
              lambda r: spread(r["seconds"])),
    Benchmark("efficiency.py", ["--seeds", "4"], "times cheaper than random search", "5", _efficiency),
    Benchmark("taskset/regret.py", ["--seeds", "1", "--workers", "1", "--arms", "this search", "random search"],
              "regret after 20 trainings on 12 public tasks", "0.05", _regret),
    Benchmark("rungs.py", [], "rank correlation of the first rung with the end", "", _rung),
    Benchmark("winners.py", ["--reports", "100", "--only", "12"], "reports on 12 equal trials that name a winner",
              "0.05", lambda r: (r["trials"]["12"]["equal: names a winner"],) * 3),
    Benchmark("truth.py", [], "trials left RUNNING in Optuna", "0",
              lambda r: (r["ours"]["left RUNNING"],) * 3),
    Benchmark("search_cost.py", ["--trials", "3", "--steps", "60"], "times faster than the stock arrangement", "3",
              lambda r: (r["stock"] / r["here"]["wall"],) * 3),
    Benchmark("reporting.py", ["--trials", "200", "--images", "200", "--rounds", "1"], "seconds of a report", "",
              lambda r: spread([run["wall"] for run in r["report"]])),
    Benchmark("conversion.py", ["--images", "1000", "--rounds", "3"], "times faster than a plain script", "", _faster),
    Benchmark("training/threads.py", ["--detectors", "mobilenet", "--rounds", "1"],
              "images/s of two workers against one", "", _threads),
    Benchmark("training/trial_cost.py", ["--detectors", "mobilenet", "--repeats", "1"],
              "seconds of a cold trial besides its steps", "35", _cold),
    Benchmark("training/step.py", ["--detector", "mobilenet", "--rounds", "3"],
              "a fed step against a constant batch", "1.05", lambda r: spread(r["mobilenet"]["ratio"])),
    Benchmark("serving/serving_faults.py", ["--faults", "30"], "jobs that a fault of the server costs, of 30", "0",
              lambda r: (r[-1]["failed"] + r[-1]["lost"] + r[-1]["frames lost or twice"],) * 3),
    Benchmark("training/evaluation.py", ["--images", "100", "--rounds", "1"],
              "times faster than the API's evaluation", "3", lambda r: ratios(r["stock"], r["here"])),
)  # fmt: skip


def main() -> int:
    """Run them and print the table; exit code 1 when one failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=[each.name for each in BENCHMARKS], metavar="NAME")
    chosen = parser.parse_args().only
    table = Table("benchmark", "measure", "goal", "seen", "least to most", "minutes", "last full run")
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for each in BENCHMARKS:
            if chosen and each.name not in chosen:
                continue
            out, began = Path(folder) / f"{each.name}.json", time.monotonic()
            command = [sys.executable, str(HERE / each.script), *each.short, "--out", str(out)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            minutes = f"{(time.monotonic() - began) / 60:.1f}"
            if done.returncode or not out.exists():
                failed.append(f"{each.name}: {(done.stderr.strip().splitlines() or ['no result'])[-1]}")
                table.add_row(each.name, each.measure, each.goal, "failed", "", minutes, each.last_full_run())
                continue
            seen, least, most = each.read(json.loads(out.read_text()))
            limits = f"{least:.3g} to {most:.3g}"
            table.add_row(
                each.name, each.measure, each.goal, f"{seen:.3g}", limits, minutes, each.last_full_run()
            )
            print(f"{each.name}: {seen:.3g} ({limits})", file=sys.stderr, flush=True)
    Console(width=150).print(table)
    for line in failed:
        print(line, file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
