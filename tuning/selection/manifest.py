"""Manifest: what a selection asked for, kept beside its pre-annotations; the labels' way back begins at it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainers.errors import UserError
from trainers.files import write_text

NAME = "selection.json"


@dataclass(frozen=True)
class Asked:
    """One image to label.

    file: its name in the pre-annotations, without folder and suffix. name: its path in the pool.
    sha256: of its file; picture: of the image as it was written, in hexadecimal.
    score: the strategy's. rank: from 1. skipped: images passed over before it, which look like picked ones.
    boxes: how many the detector found.
    """

    file: str
    name: str
    sha256: str
    picture: str
    score: float
    rank: int
    skipped: int
    boxes: int


@dataclass(frozen=True)
class Manifest:
    """A selection.

    pool: its folder. export_id: of the detector. classes: its class names. strategy, seed, threshold: as asked.
    images: those to label.
    """

    pool: str
    export_id: str
    classes: tuple[str, ...]
    strategy: str
    seed: int
    threshold: float
    images: tuple[Asked, ...]

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        write_text(folder / NAME, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> Manifest:
    """The manifest in a folder, or in a file. Raises UserError if there is none."""
    file = path / NAME if path.is_dir() else path
    try:
        fields: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        images = tuple(Asked(**each) for each in fields["images"])
        return Manifest(**{**fields, "classes": tuple(fields["classes"]), "images": images})
    except FileNotFoundError:
        raise UserError(
            f"{file}: no such file; give the folder that `python -m tuning.select` wrote"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file}: not the manifest of a selection ({' '.join(str(error).split())[:120]})"
        ) from None
