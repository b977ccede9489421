"""The exports that a deployment keeps in its own models folder, one folder each, named by export id.

Where its files are in a store, they are uploaded there, and a machine fetches those that it lacks, whole and verified.
"""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

from serve import tasks
from serve.deployment.settings import Settings
from serve.jobs.options import Options
from serve.storage.opening import open_files_store
from serve.storage.s3 import answered
from serve.tasks.task import ServedExport, ServedTask
from trainers.errors import UserError
from trainers.export import MANIFEST, unreadable
from trainers.files import replace_folder
from tuning.stores import folders


def add_model(settings: Settings, folder: Path) -> ServedExport:
    """Copy the export in `folder` into the models folder unless it is there already, and return the copy.

    Raises UserError when `folder` is not a complete export.
    """
    given = tasks.read(folder)
    kept = settings.models_folder / given.export_id
    if not (kept / MANIFEST).is_file():
        with replace_folder(kept) as new:
            shutil.copytree(folder, new, dirs_exist_ok=True)
    if settings.files:
        store = open_files_store(settings.files)
        with answered():
            if folders.read(store, _key(given.export_id)) is None:
                folders.upload(store, _key(given.export_id), kept, {})
    return read_model(settings, given.export_id)


def read_model(settings: Settings, export_id: str) -> ServedExport:
    """The export of that id. Raises UserError when it is missing or was changed."""
    return tasks.read(_kept(settings, export_id))


def task_of(settings: Settings, export_id: str) -> ServedTask:
    """The task of that export. Raises UserError when its manifest cannot be read."""
    return tasks.get(_described(_kept(settings, export_id))[0])


def check_options(settings: Settings, export_id: str, options: Options) -> None:
    """Raise Refused (422) if an option has no meaning for that export. Raises UserError as `task_of`."""
    name, classes = _described(_kept(settings, export_id))
    tasks.get(name).check_for(classes, options)


def _kept(settings: Settings, export_id: str) -> Path:
    """Its folder, on this machine."""
    folder = settings.models_folder / export_id
    if settings.files and not (folder / MANIFEST).is_file():
        store = open_files_store(settings.files)
        with answered():
            found = folders.read(store, _key(export_id))
            if found is None:
                raise UserError(f"{export_id}: there is no such model")
            folders.fetch(store, found, folder)
    return folder


def _key(export_id: str) -> str:
    return f"models/{export_id}"


@functools.lru_cache(maxsize=64)
def _described(folder: Path) -> tuple[str, tuple[str, ...]]:
    """The names of the task and of the classes."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return tasks.named(manifest.get("task")), tuple(manifest["classes"])
    except (OSError, ValueError, KeyError) as error:
        raise unreadable(folder, error) from None
