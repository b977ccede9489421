"""Exports of any task: a sealed folder, whose `manifest.json` has a description and the hash of every other file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.errors import UserError
from trainers.files import write_text

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Sealed:
    """A sealed folder that was read and verified.

    export_id: twelve hexadecimal digits, a hash of the hashes of all files. manifest: the content of manifest.json.
    """

    export_id: str
    manifest: Mapping[str, Any]


def seal(folder: Path, about: Mapping[str, Any]) -> None:
    """Write `manifest.json` into a folder that has all its other files. about: further JSON values for the manifest."""
    manifest = {"format": FORMAT, **about, "files": _hashes(folder)}
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def amend(folder: Path, **about: Any) -> None:
    """Add JSON values (study, trial, MLflow run) to the manifest of a sealed folder; does not change its export_id."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    write_text(folder / MANIFEST, json.dumps({**manifest, **about}, indent=2, ensure_ascii=False) + "\n")


def read(folder: Path) -> Sealed:
    """Read and verify a sealed folder. Raises UserError if it is not one, or a file is missing, new or changed."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise UserError(
                f"{path}: format {manifest['format']}, but this version reads {FORMAT}; export again"
            )
        export_id = hashlib.sha256(json.dumps(manifest["files"], sort_keys=True).encode()).hexdigest()[:12]
        sealed = dict(manifest["files"])
    except FileNotFoundError:
        raise UserError(f"{folder}: not an export (no {MANIFEST}); give the folder of an export") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise unreadable(folder, error) from None
    for name, digest in _hashes(folder).items():
        if sealed.pop(name, None) != digest:
            raise UserError(f"{folder / name}: was added or changed after the export; export again")
    if sealed:
        raise UserError(f"{folder / min(sealed)}: is missing; export again")
    return Sealed(export_id, manifest)


def unreadable(folder: Path, error: Exception) -> UserError:
    """The error for a manifest that cannot be read."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return UserError(f"{folder / MANIFEST}: cannot be read as an export's manifest ({line}); export again")


def _hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(files)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
