"""Per-image results of an export whose network is not the trial's own: averaged weights, or other values of its fields.

The trial has kept the results of its own network; what happens after the network is tuned on those of the one that is
served. An export keeps them in `results.npz`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainers import export as exports
from trainers.errors import UserError
from trainers.files import read_arrays, replace_folder, write_arrays
from trainers.task import Task
from tuning.api.exporting import EXPORT
from tuning.study.storage.working_copy import fetch_trial

RESULTS = "results.npz"
# in an export's manifest
AVERAGE = "average"  # the trials whose weights it has, and the gain
TUNED = "after_training"  # the fields that were tuned, and what they gain


def keep(task: Task, trial: Path, results: Sequence[Any]) -> None:
    """Give the export of a trial the results of its network on the validation images; atomic. Its export_id changes."""
    if not results or not task.results_name:
        return
    export = trial / EXPORT
    about = {
        name: each for name, each in exports.read(export).manifest.items() if name not in ("format", "files")
    }
    arrays = task.pack_results(_as_of_trial(task, trial), results)
    with replace_folder(export) as new:
        shutil.copytree(export, new, dirs_exist_ok=True, ignore=shutil.ignore_patterns(exports.MANIFEST))
        write_arrays(new / RESULTS, arrays)
        exports.seal(new, about)


def read(task: Task, trial: Path, step: int) -> Sequence[Any]:
    """The results of the network that is served of a trial: of its export if that has another, else of step `step`.

    Empty if none are kept. Raises UserError if the export has another network, and no results.
    """
    fetch_trial(trial)
    export = trial / EXPORT
    manifest = exports.read(export).manifest if (export / exports.MANIFEST).is_file() else {}
    if manifest.get("step") != step or not {AVERAGE, TUNED} & manifest.keys():
        return task.read_results(trial, step)
    arrays = read_arrays(export / RESULTS)
    if not arrays:
        raise UserError(
            f"{export}: has another network than the trial, whose results were not kept by an earlier version; delete "
            "it, and make it again or tune the trial's own"
        )
    return task.unpack_results(_as_of_trial(task, trial), arrays)


def _as_of_trial(task: Task, trial: Path) -> Path:
    """Where the trial would keep them: what is stored once for all trials is found from there."""
    return trial / f"{task.results_name}-of-export.npz"
