"""Moves the addresses of artifacts with the SQLite store that was moved or copied together with them.

MLflow stores absolute addresses. After `mv studies elsewhere`, it would look for artifacts, and create new ones, at the
old place.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

# columns that hold the address of an artifact
COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow(database: Path, experiment: str, artifacts: Path) -> None:
    """Replace the old folder of artifacts by the present one, in every address of the store.

    experiment: a name. artifacts: the experiment's folder of artifacts now, `<folder>/<experiment>`.
    Does nothing if the artifacts were left at the old place.
    """
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as store:
        row = store.execute(
            "SELECT artifact_location FROM experiments WHERE name = ?", (experiment,)
        ).fetchone()
        was = None if row is None else _path(row[0])
        now = artifacts.absolute()
        if was is None or was == now or was.name != now.name or (was.is_dir() and not now.is_dir()):
            return
        with store:
            for table, column in COLUMNS:
                for old, new in (
                    (was.parent.as_uri(), now.parent.as_uri()),
                    (str(was.parent), str(now.parent)),
                ):
                    store.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                        (f"{new}/", len(old) + 2, len(old) + 1, f"{old}/"),
                    )


def _path(address: str) -> Path:
    """The folder of an address, which MLflow writes as file:///an%20example or as a path."""
    return Path(unquote(urlsplit(address).path) if address.startswith("file:") else address)
