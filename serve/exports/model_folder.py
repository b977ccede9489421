"""The exports that a deployment keeps in its own models folder, one folder each, named by export id."""

from __future__ import annotations

import shutil
from pathlib import Path

from serve.deployment.settings import Settings
from trainers.detection import export as exports
from trainers.detection.export import Export
from trainers.files import replace_folder


def add_model(settings: Settings, folder: Path) -> Export:
    """Copy the export in `folder` into the models folder unless it is there already, and return the copy.

    Raises UserError when `folder` is not a complete export.
    """
    given = exports.read(folder)
    kept = settings.models_folder / given.export_id
    if not (kept / exports.MANIFEST).is_file():
        with replace_folder(kept) as new:
            shutil.copytree(folder, new, dirs_exist_ok=True)
    return read_model(settings, given.export_id)


def read_model(settings: Settings, export_id: str) -> Export:
    """The export of that id. Raises UserError when it is missing or was changed."""
    return exports.read(settings.models_folder / export_id)
