"""A trial's export and pictures in a store: fetched, and an export fetched again when that of the store has changed."""

from __future__ import annotations

from pathlib import Path

from trainers.files import write_text
from tuning.stores import folders
from tuning.stores.folders import Kept
from tuning.stores.store import Store
from tuning.study.storage.keys import EXPORT, WHOLE

EXPORT_ID = ".export.id"  # in a trial's folder here: the upload of the export that this one is equal to


def fetch(store: Store, key: str, folder: Path) -> None:
    """Fetch what is missing in the trial's folder or, of an export, has changed. key: of the trial, with a slash."""
    for name in WHOLE:
        there = folders.read(store, key + name)
        if there is None or ((folder / name).is_dir() and (name != EXPORT or _id(folder) == there.folder)):
            continue
        folders.fetch(store, there, folder / name)
        note(folder, name, there)


def note(folder: Path, name: str, kept: Kept) -> None:
    """Note that the folder `name` of the trial is now equal to what the store has."""
    if name == EXPORT:
        write_text(folder / EXPORT_ID, kept.folder)


def _id(folder: Path) -> str:
    path = folder / EXPORT_ID
    return path.read_text(encoding="utf-8") if path.is_file() else ""
