"""What opening a study checks, writes and, after an error, gives back."""

from __future__ import annotations

import dataclasses
import json
import uuid
from pathlib import Path
from typing import Any, Protocol

from trainers.errors import UserError
from trainers.files import write_text
from tuning.stores.small_files import INDEX
from tuning.study.manifest import Manifest
from tuning.study.storage.keys import JOURNAL
from tuning.study.storage.last_writer import TOKEN
from tuning.study.storage.lock import StudyLock
from tuning.study.storage.stored import StoredStudy

CREATE_TRIAL = b'"op_code":4,'  # in a line of the journal that adds a trial


class Open(Protocol):
    """A study that is open."""

    def close(self) -> None:
        """Close it."""


def give_up(lock: StudyLock, stored: StoredStudy | None, study: Open | None) -> None:
    """Release what an attempt to open a study has taken."""
    try:
        if study is not None:
            study.close()
        if stored is not None:
            stored.close()
    finally:
        lock.release()


def check_empty(folder: Path) -> None:
    """Raise UserError if a folder without study.json holds more than a killed driver leaves before it writes that."""
    if (folder / JOURNAL).is_file() and CREATE_TRIAL in (folder / JOURNAL).read_bytes():
        raise UserError(f"{folder}: its study.json is missing; restore it from your backup")
    for entry in folder.iterdir():
        empty = entry.name == "trials" and not any(entry.iterdir())
        if not (
            empty or entry.name in ("lock", JOURNAL, INDEX, TOKEN) or entry.name.startswith(".study.json.")
        ):
            raise UserError(f"{folder}: exists and is not a study; give another --study or --studies-dir")


def write_manifest(path: Path, about: Manifest) -> Manifest:
    """Write study.json, with a new id if there is none. Returns what is written."""
    about = about if about.id else dataclasses.replace(about, id=uuid.uuid4().hex)
    write_text(path, json.dumps(about.to_dict(), indent=2, ensure_ascii=False))
    return about


def create_folder(studies: Path) -> None:
    """Create the folder of all studies. Raises UserError."""
    try:
        studies.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{studies}: cannot be created: {error.strerror}; give another --studies-dir"
        ) from None


def in_database(path: Path, before: Manifest | None, there: dict[str, Any] | None) -> Manifest | None:
    """The manifest with which a study whose trials are in a database goes on; None for a new study.

    path: of study.json. before: what that was; None if there was none, as on a machine that never saw the study.
    there: the manifest in the database. Raises UserError when that is another study of the same name.
    """
    if there is None:
        return before
    kept = Manifest(**there)
    if before is not None and before.id != kept.id:
        raise UserError(
            f"{kept.storage}: has another study called {kept.study} (begun in another folder); give another --study"
        )
    write_manifest(path, kept)
    return kept
