"""Notes of what was logged to MLflow: `mlflow.json` in a study's folder, and in each trial's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainers.files import write_text
from tuning.study.trial_folder import PICTURES
from tuning.study.trial_record import TrialRecord


def read_note(folder: Path, uri: str | None = None) -> dict[str, Any]:
    """What was told to the store at `uri`, None for whichever it was; nothing, if the note is of another store."""
    try:
        note: dict[str, Any] = json.loads((folder / "mlflow.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        note = {}
    if uri is None or note.get("uri") == uri:
        return note
    return {"uri": uri}


def write_note(folder: Path, note: Mapping[str, Any]) -> None:
    """Keep what was told."""
    write_text(folder / "mlflow.json", json.dumps(note))


def told_all(folder: Path, record: TrialRecord, uri: str) -> bool:
    """Whether the store at `uri` knows all of an ended trial."""
    note = read_note(folder, uri)
    drawn = (folder / PICTURES).is_dir()
    return (
        record.verdict is not None
        and note.get("told") == record.verdict.to_dict()
        and (bool(note.get(PICTURES)) or not drawn)
    )
