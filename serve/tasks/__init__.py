"""The tasks that the service runs: what each makes of a network's output. A task is one module and a line in MODULES."""

from __future__ import annotations

import importlib
from pathlib import Path

from serve.tasks.task import ServedExport, ServedTask
from trainers import export as sealed
from trainers.errors import UserError

# name of the trainers' task -> the module with its TASK
MODULES = {"detection": "serve.tasks.detection", "segmentation": "serve.masks.task"}


def get(name: str) -> ServedTask:
    """The task of that name. Raises UserError, with the names, for one that is not served."""
    if name not in MODULES:
        raise UserError(f"models for '{name}' cannot be served; served are {', '.join(MODULES)}")
    task: ServedTask = importlib.import_module(MODULES[name]).TASK
    return task


def load_all() -> None:
    """Import the modules of all tasks, as a server does at its start: its first request would wait a second for them."""
    for name in MODULES:
        get(name)


def of(export: ServedExport) -> ServedTask:
    """The task of an export."""
    return get(named(export.manifest.get("task")))


def read(folder: Path) -> ServedExport:
    """The export in `folder`, of any task, read and verified. Raises UserError if it is none."""
    return get(named(sealed.read(folder).manifest.get("task"))).read(folder)


def named(task: object) -> str:
    """The task's name by the `task` of a manifest, which those of detectors lack."""
    return "detection" if task is None else str(task)
