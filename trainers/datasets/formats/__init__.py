"""The supported formats of labelled images, one module each; recognition.py says which one a source has."""

from __future__ import annotations

import importlib

from trainers.datasets.formats.format import Format
from trainers.errors import UserError

# In this order; the first format that recognises a source reads it.
MODULES = (
    "dataset_yaml", "waymo", "tfrecord", "coco", "label_studio", "bdd100k", "cvat", "pascal_voc", "yolo",
)  # fmt: skip


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
