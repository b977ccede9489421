"""The formats of labelled images: one module each, found by looking at what lies in a path."""

from __future__ import annotations

import importlib
from pathlib import Path

from trainers.datasets.formats.format import Format
from trainers.errors import UserError

# Asked in this order: the first that recognises a source reads it.
MODULES = ("dataset_yaml", "waymo", "tfrecord", "coco", "bdd100k", "pascal_voc", "yolo")


def all_formats() -> tuple[Format, ...]:
    """Every format, in the order of MODULES."""
    return tuple(importlib.import_module(f"{__name__}.{name}") for name in MODULES)


def named(name: str) -> Format:
    """The format called `name`. Raises UserError, with the known names, when there is none."""
    found = next((known for known in all_formats() if name == known.NAME), None)
    if found is None:
        raise UserError(
            f"unknown format '{name}'; known are {', '.join(known.NAME for known in all_formats())}"
        )
    return found


def recognise(path: Path) -> Format:
    """The format of what lies at `path`. Raises UserError when it is none."""
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder")
    try:
        found = next((known for known in all_formats() if known.recognises(path)), None)
        empty = path.is_dir() and next(path.iterdir(), None) is None
    except PermissionError as error:
        raise UserError(f"{error.filename}: no permission to read it") from None
    if found is None:
        titles = ", ".join(known.TITLE for known in all_formats())
        what = "an empty folder" if empty else "no labelled images in a format that is known"
        raise UserError(f"{path}: {what}; known are {titles}")
    return found
