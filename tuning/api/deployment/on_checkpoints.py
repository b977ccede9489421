"""Work on trials' checkpoints in a process of its own, so that TensorFlow's memory is freed, with lines of progress."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers import model as models
from trainers import recipe as recipes
from trainers import task as tasks
from trainers.datasets.dataset import Dataset
from trainers.errors import TrialFailed, UserError
from trainers.keras_training import start_up_lines
from trainers.model import Model
from trainers.recipe import Recipe
from trainers.task import Task
from trainers.trainer import Trainer
from tuning.api.exporting import options_here
from tuning.execution.python_path import python_path
from tuning.execution.worker import make_trainer
from tuning.study.reading import StudyRead
from tuning.study.trial_folder import newest_checkpoint
from tuning.study.trial_record import TrialRecord

Say = Callable[[str], None]
Job = Mapping[str, Any]  # JSON values


def job_of(study: StudyRead, record: TrialRecord, trials: Sequence[int], **more: Any) -> dict[str, Any]:
    """What `run` sends to the other process, about `record` and the `trials` whose checkpoints it needs."""
    return {
        "trials": [str((study.folder / "trials" / str(number)).absolute()) for number in trials],
        "data": study.manifest.data, "objective": study.objective.name,
        "about": {"study": study.manifest.study, "trial": record.number},
        "modules": list(models.modules_of([record.model])), **more,
    }  # fmt: skip


def run(module: str, job: Job, say: Say) -> dict[str, Any]:
    """Run `python -m module`, which calls `answer`; returns what its work returned. say: is called with each line.

    Raises UserError with the last line of its errors if it failed.
    """
    running = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": python_path(tuple(job["modules"]))},
    )  # fmt: skip
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stderr is not None
    found: dict[str, Any] | None = None
    with running:
        running.stdin.write(json.dumps(job))
        running.stdin.close()
        for line in running.stdout:
            if line.startswith("{"):
                found = json.loads(line)
            else:
                say(line.rstrip("\n"))
        errors = running.stderr.read().strip().splitlines() or ["it was killed"]
    if running.returncode or found is None:
        raise UserError(errors[-1].removeprefix("error: ")[:300])
    return found


def answer(work: Callable[[Job, Say], dict[str, Any]]) -> None:
    """The other process: do `work` on the job of standard input. Errors of users and trainers are a line, and exit 2."""
    start_up_lines.hide()
    try:
        print(json.dumps(work(json.load(sys.stdin), lambda line: print(line, flush=True))))
    except (UserError, TrialFailed) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


@dataclass(frozen=True)
class Opened:
    """The trials of a job. folders, checkpoints: of each; the newest checkpoint. The rest is of the first trial."""

    folders: tuple[Path, ...]
    checkpoints: tuple[Path, ...]
    recipe: Recipe
    model: Model
    task: Task
    dataset: Dataset
    trainer: Trainer


def open_trials(job: Job) -> Opened:
    """Read the job's trials, open their data and make a trainer. Raises UserError if a checkpoint or data are gone."""
    from tuning.study.data import reopen

    for module in job["modules"]:
        importlib.import_module(module)
    folders = tuple(Path(each) for each in job["trials"])
    checkpoints = []
    for folder in folders:
        newest = newest_checkpoint(folder)
        if newest is None:
            raise UserError(f"{folder}: its checkpoint is gone; train it again")
        checkpoints.append(newest[1])
    recipe = recipes.read(folders[0] / "recipe.yaml")
    about = models.get(recipe.model)
    task = tasks.get(about.task)
    dataset = reopen(task, job["data"], folders[0].parents[2] / "data")
    trainer = make_trainer(job["trainer"] or about.trainer, dataset, options_here())
    return Opened(folders, tuple(checkpoints), recipe, about, task, dataset, trainer)
