"""A sealed folder: an export of any task. Its `manifest.json` describes it and holds the hash of every other file."""

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
    """A folder that was read and found whole.

    export_id: twelve digits, of the hashes of all its files. manifest: all of manifest.json.
    """

    export_id: str
    manifest: Mapping[str, Any]


def seal(folder: Path, about: Mapping[str, Any]) -> None:
    """Write `manifest.json` into a folder whose other files are there. `about`: JSON values, added as they are."""
    manifest = {"format": FORMAT, **about, "files": _hashes(folder)}
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def amend(folder: Path, **about: Any) -> None:
    """Add to a sealed manifest what only the caller knows (study, trial, MLflow run)."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    write_text(folder / MANIFEST, json.dumps({**manifest, **about}, indent=2, ensure_ascii=False) + "\n")


def read(folder: Path) -> Sealed:
    """The sealed folder. Raises UserError when it is none, or a file is not the one that was sealed."""
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
        raise UserError(f"{folder}: not an export (it has no {MANIFEST}); give an export's folder") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise unreadable(folder, error) from None
    for name, digest in _hashes(folder).items():
        if sealed.pop(name, None) != digest:
            raise UserError(f"{folder / name}: is not what was exported; export again")
    if sealed:
        raise UserError(f"{folder / min(sealed)}: is gone; export again")
    return Sealed(export_id, manifest)


def unreadable(folder: Path, error: Exception) -> UserError:
    """What to say of a manifest that is no export's."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return UserError(f"{folder / MANIFEST}: cannot be read as an export's manifest ({line}); export again")


def _hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(files)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
