"""Whose working copy of a study in a store is the newest, and which one is of another study of the same name.

.token.json   {"token": 3, "id": "9f2c81d0"}   of the lease under which the working copy was last written
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainers.errors import UserError
from trainers.files import write_text
from tuning.stores.store import Store
from tuning.study.manifest import NAME
from tuning.study.storage.keys import STUDY_ID

TOKEN = ".token.json"
LOCKS = ("lock", "mlflow.lock")


def note(folder: Path, held: Mapping[str, Any]) -> None:
    """Note that the working copy is written under a lease. held: the lease's fields."""
    write_text(folder / TOKEN, json.dumps({name: held.get(name) for name in ("token", "id")}))


def is_newest(folder: Path, held: Mapping[str, Any]) -> bool:
    """Whether the working copy was written last, under the lease with these fields."""
    try:
        noted = json.loads((folder / TOKEN).read_text(encoding="utf-8"))
        return bool(noted["token"] == held.get("token") and noted.get("id") == held.get("id"))
    except (FileNotFoundError, ValueError, KeyError):
        return False


def check_not_deleted(folder: Path, store: Store, prefix: str) -> None:
    """Raise UserError if the study was written from here, and the store, which has no lease of it, has none of it."""
    if (folder / TOKEN).is_file() and (folder / NAME).is_file() and store.read(prefix + NAME) is None:
        raise UserError(
            f"{store.uri}/{prefix.rstrip('/')}: was deleted there; to begin it anew, delete {folder} too"
        )


def forget_another(folder: Path, store: Store, prefix: str, uploaded: bool) -> bool:
    """Delete the working copy of another study, which was deleted in the store. Returns whether it was one.

    The trials stay that workers of the store's study train here. uploaded: whether the store has had the study that is
    here. Raises UserError if not: nobody has deleted it there, and nothing else may be left of it.
    """
    if not (folder / NAME).is_file():
        return False
    there = store.read(prefix + NAME)
    if there is None or _id((folder / NAME).read_bytes()) == _id(there[0]):
        return False
    if not uploaded:
        raise UserError(
            f"{store.uri}/{prefix.rstrip('/')}: is another study than the one in {folder}, which may not be uploaded; "
            "give another --study, or move that folder away"
        )
    for entry in (*folder.iterdir(), *(folder / "trials").glob("*/")):
        if entry.is_dir() and entry.name != "trials" and not _is_of(entry, _id(there[0])):
            shutil.rmtree(entry)
        elif not entry.is_dir() and entry.name not in LOCKS:
            entry.unlink()
    return True


def _is_of(trial: Path, study: object) -> bool:
    mark = trial / STUDY_ID
    return mark.is_file() and mark.read_text(encoding="utf-8") == study


def _id(manifest: bytes) -> object:
    try:
        return json.loads(manifest).get("id", "")
    except ValueError:
        return None
