"""What was logged to MLflow: the note `mlflow.json` in a study's folder and in each trial's.

Keys: uri and run (of the store and in it); of a study also folder (where it was), experiment (its id) and views (the
VERSION of those that it has); of a trial also offset (bytes of metrics.jsonl) and rung (last step) that are logged,
config and pictures (whether these files are), and told (the logged verdict).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainers.files import write_text
from tuning.study.trial_folder import PICTURES
from tuning.study.trial_record import TrialRecord


def note_file(folder: Path) -> Path:
    """The file of the note in `folder`."""
    return folder / "mlflow.json"


def read_note(folder: Path, uri: str | None = None) -> dict[str, Any]:
    """The note in `folder`. With `uri`, a note of another store counts as none: the answer then holds only the uri."""
    try:
        note: dict[str, Any] = json.loads(note_file(folder).read_text(encoding="utf-8"))
    except FileNotFoundError:
        note = {}
    if uri is None or note.get("uri") == uri:
        return note
    return {"uri": uri}


def write_note(folder: Path, note: Mapping[str, Any]) -> None:
    """Write the note in `folder`."""
    write_text(note_file(folder), json.dumps(note))


def is_fully_logged(folder: Path, record: TrialRecord, uri: str) -> bool:
    """Whether the trial has a verdict, and everything of it is in the store at `uri`."""
    note = read_note(folder, uri)
    drawn = (folder / PICTURES).is_dir()
    return (
        record.verdict is not None
        and note.get("told") == record.verdict.to_dict()
        and (bool(note.get(PICTURES)) or not drawn)
    )
