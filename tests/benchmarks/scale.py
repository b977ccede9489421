"""What ten thousand trials cost the driver: a suggestion's time, memory, and the time in which nobody trains.

    .venv/bin/python tests/benchmarks/scale.py

suggestions  a study of --trials simulated trials (a formula for a curve, all else as in a real search): seconds of a
             suggestion by trial number, and the driver's memory; with --random N the first N are drawn at random,
             which is quicker, and TPE is timed after them
overhead     real searches on Ray with MLflow logging on, two workers, whose trainer sleeps through trials of a minute
             and of ten: what share of the workers' time is not training; and in the study of the simulated trials
memory       of a driver with Ray, by trials that take no time
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tuning"), str(ROOT / "tests" / "benchmarks")]

from curve_trainer import CurveTrainer  # noqa: E402
from searches import about  # noqa: E402

import search_spaces  # noqa: E402
from trainers import recipe as recipes  # noqa: E402
from tuning.search.sampler import SamplerContext  # noqa: E402
from tuning.search.samplers.random_sampler import RandomSampler  # noqa: E402
from tuning.search.samplers.tpe import TPESampler  # noqa: E402
from tuning.search.scheduler import rung_steps  # noqa: E402
from tuning.search.schedulers.halving import Halving  # noqa: E402
from tuning.search.search import Search  # noqa: E402
from tuning.search.space_adapter import SpaceAdapter  # noqa: E402
from tuning.study import manifest  # noqa: E402
from tuning.study.proposal import Proposal  # noqa: E402
from tuning.study.step_result import StepResult  # noqa: E402
from tuning.study.study import Study  # noqa: E402

OUT = Path(__file__).parent / "results" / "scale.json"
SPACE, STUDY, STEPS, WORKERS = search_spaces.get("mobilenet"), "mobilenet-toy-city", 90, 2
MARKS = (100, 300, 1000, 3000, 10_000)
PARTS = ("minute", "suggestions", "again", "ten-minute", "memory")


class SameTrainer(CurveTrainer):
    """All its trials are equal, so that none is stopped."""

    @staticmethod
    def mean_ap(recipe: recipes.Recipe, step: int) -> float:
        """The same for all."""
        return step / STEPS / 2

    def _loss(self, step: int) -> float:
        return 1.0


def command(studies: Path, trials: int, seconds: float) -> list[str]:
    """A real search whose trials take so many seconds."""
    words = ["--space", "mobilenet", "--studies-dir", str(studies), "--trainer", "scale:SameTrainer"]
    words += [
        "--max-steps",
        str(STEPS),
        "--trials",
        str(trials),
        "--workers",
        str(WORKERS),
        "--cpus-per-trial",
        "1",
    ]
    os.environ["CURVE_TROUBLE"] = json.dumps({"pace": seconds / STEPS})
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:3])
    return [sys.executable, "-m", "tuning.run", *words]


def overhead(studies: Path, trials: int, seconds: float) -> dict[str, Any]:
    """Run so many more trials; what their workers did but training, each worker's first trial apart."""
    folder = studies / STUDY
    known = len(list((folder / "trials").iterdir())) if folder.exists() else 0
    subprocess.run(command(studies, known + trials, seconds), check=True, stdout=subprocess.DEVNULL)
    told = json.loads((folder / "summary.json").read_text())["trials"]
    ran = [trial for trial in told if trial["trial"] >= known][WORKERS:]
    training, other = (sum(t[f"seconds_{kind}"] for t in ran) for kind in ("training", "overhead"))
    return {
        "trials": len(ran),
        "seconds of a full trial": seconds,
        "seconds of overhead a trial": round(other / len(ran), 3),
        "share not training": round(other / (training + other), 4),
    }


class RandomFirst(TPESampler):
    """TPE that learns all trials, and draws the first so many at random."""

    def __init__(self, context: SamplerContext, first: int) -> None:
        super().__init__(context)
        self._random, self._first = RandomSampler(context), first

    def propose(self, number: int, fixed: Mapping[str, Any] | None = None) -> Proposal:
        """As the class says."""
        chosen = self._random if number < self._first else super()
        return chosen.propose(number, fixed)


def simulate(folder: Path, trials: int, first_random: int = 0) -> dict[str, Any]:
    """Fill the study in `folder` up with simulated trials; a new one if there is none."""
    begun = (folder / "study.json").is_file()
    study = Study.open(folder, manifest.read(folder / "study.json") if begun else about(study=STUDY))
    conditions = study.manifest.conditions()
    adapt = SpaceAdapter(SPACE, conditions).adapt
    context = SamplerContext(lambda trial: SPACE.suggest(trial, conditions), 0, study.objective, adapt)
    sampler = RandomFirst(context, first_random)
    search = Search(study, sampler, Halving(rung_steps(STEPS), 3, 3), trials)
    process = psutil.Process()
    marks = sorted({mark for mark in (*MARKS, first_random, trials) if 0 < mark <= trials})
    suggestion: list[float] = []
    cpu: list[float] = []
    report: list[float] = []
    memory: dict[int, float] = {}
    while True:
        began, began_cpu = time.perf_counter(), time.process_time()
        record = search.propose()
        suggestion.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
        if record is None:
            break
        recipe, took = recipes.build(dict(record.recipe)), 0.0
        for step in search.scheduler.rungs:
            mean = CurveTrainer.mean_ap(recipe, step)
            metrics = {"mAP": mean, "mAP50": mean, "validation_loss/total": 2 - mean}
            metrics |= {f"metric {i}": 0.123456 for i in range(15)}  # as many as a detector has
            result = StepResult(
                record.number, step, "rung", metrics=metrics, seconds_training=60 * step / STEPS
            )
            began = time.perf_counter()
            goes_on = search.report(result)
            took += time.perf_counter() - began
            if not goes_on:
                break
        report.append(took)
        if record.number + 1 in marks:
            gc.collect()
            memory[record.number + 1] = process.memory_info().rss / 1e6
            print(record.number + 1, f"{memory[record.number + 1]:.0f} MB", flush=True)
    study.close()
    began = time.perf_counter()
    study = Study.open(folder, study.manifest)
    opened = time.perf_counter() - began
    study.close()
    rows = []
    for low, high in zip((0, *marks), marks, strict=False):
        asked, told, used = (np.array(times[low:high]) * 1e3 for times in (suggestion, report, cpu))
        rows.append(
            {
                "trials": f"{low + 1} to {high}",
                "suggestion p50 ms": round(float(np.percentile(asked, 50)), 1),
                "suggestion p95 ms": round(float(np.percentile(asked, 95)), 1),
                "its CPU time p95 ms": round(float(np.percentile(used, 95)), 1),
                "its rungs and verdict p50 ms": round(float(np.percentile(told, 50)), 1),
                "driver MB": round(memory[high]),
            }
        )
    first, last = marks[-2], marks[-1]
    return {
        "by trial number": rows,
        "driver kB a trial": round((memory[last] - memory[first]) / (last - first) * 1e3, 1),
        "journal kB a trial": round((folder / "optuna.journal").stat().st_size / trials / 1e3, 1),
        "seconds to open it again": round(opened, 1),
    }


def with_ray(studies: Path, trials: int) -> dict[str, Any]:
    """Memory of a real driver, as its trials go by."""
    driver = subprocess.Popen(command(studies, trials, 0.01), stdout=subprocess.PIPE, text=True)
    process, memory, ended = psutil.Process(driver.pid), {}, 0
    assert driver.stdout is not None
    for line in driver.stdout:
        if line.startswith("trial ") and line.split()[2] in ("completed:", "pruned:"):
            ended += 1
            if ended % (trials // 4) == 0:
                memory[ended] = round(process.memory_info().rss / 1e6, 1)
    driver.wait()
    marks = sorted(memory)
    return {
        "driver MB by trials": memory,
        "kB a trial": round((memory[marks[-1]] - memory[marks[0]]) / (marks[-1] - marks[0]) * 1e3, 1),
    }


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    console = Console(width=120)
    if "suggestions" in result:
        rows = result["suggestions"]["by trial number"]
        shown = Table(*rows[0], title="suggestions")
        for row in rows:
            shown.add_row(*map(str, row.values()))
        console.print(shown)
        console.print(
            {name: value for name, value in result["suggestions"].items() if name != "by trial number"}
        )
    rows = {name: row for name, row in result.items() if name.startswith("overhead")}
    if rows:
        shown = Table("", *next(iter(rows.values())), title="overhead")
        for name, row in rows.items():
            shown.add_row(name, *map(str, row.values()))
        console.print(shown)
    if "memory" in result:
        console.print("with Ray:", result["memory"])


def main() -> None:
    """Run the parts that were asked for, in their order; the file keeps what the others found before."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--trials", type=int, default=10_000)
    line.add_argument("--random", type=int, default=0, metavar="N", help="of `suggestions`")
    line.add_argument("--minute-trials", type=int, default=10)
    line.add_argument("--ten-minute-trials", type=int, default=6)
    line.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    line.add_argument(
        "--studies", type=Path, help="keep the studies there; `again` goes on with those of `suggestions`"
    )
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    parts: dict[str, Callable[[Path], Any]] = {
        "overhead, 1-minute trials": lambda studies: overhead(studies / "short", chosen.minute_trials, 60),
        "suggestions": lambda studies: simulate(studies / "short" / STUDY, chosen.trials, chosen.random),
        f"overhead, 1-minute trials after {chosen.trials:,}": lambda studies: overhead(
            studies / "short", chosen.minute_trials, 60
        ),
        "overhead, 10-minute trials": lambda studies: overhead(
            studies / "long", chosen.ten_minute_trials, 600
        ),
        "memory": lambda studies: with_ray(studies / "instant", 400),
    }
    with tempfile.TemporaryDirectory() as name:
        studies = chosen.studies or Path(name)
        for folder in ("short", "long", "instant"):
            (studies / folder).mkdir(parents=True, exist_ok=True)
        for short, (title, part) in zip(PARTS, parts.items(), strict=True):
            if short in chosen.parts:
                found = part(studies)
                result = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
                chosen.out.parent.mkdir(exist_ok=True)
                chosen.out.write_text(json.dumps(result | {title: found}, indent=1) + "\n")
    show(json.loads(chosen.out.read_text()))


if __name__ == "__main__":
    main()
