"""The supported formats of labelled images, one module each, and how a source's format is recognised."""

from __future__ import annotations

import importlib
from pathlib import Path

from trainers.datasets.formats.format import Format
from trainers.errors import UserError

# In this order; the first format that recognises a source reads it.
MODULES = ("dataset_yaml", "waymo", "tfrecord", "coco", "bdd100k", "pascal_voc", "yolo")


def all_formats() -> tuple[Format, ...]:
    """All formats, in the order of MODULES."""
    return tuple(importlib.import_module(f"{__name__}.{name}") for name in MODULES)


def named(name: str) -> Format:
    """The format with this NAME. Raises UserError, listing the names, if there is none."""
    found = next((known for known in all_formats() if name == known.NAME), None)
    if found is None:
        raise UserError(
            f"unknown format '{name}'; choose from {', '.join(known.NAME for known in all_formats())}"
        )
    return found


def recognise(path: Path) -> Format:
    """The format of the file or folder `path`. Raises UserError if it is missing, unreadable or of no known format."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    try:
        found = next((known for known in all_formats() if known.recognises(path)), None)
        empty = path.is_dir() and next(path.iterdir(), None) is None
    except PermissionError as error:
        raise UserError(f"{error.filename}: permission denied") from None
    if found is None:
        titles = ", ".join(known.TITLE for known in all_formats())
        what = "the folder is empty" if empty else "no labelled images in a supported format"
        raise UserError(f"{path}: {what}; supported are {titles}")
    return found
