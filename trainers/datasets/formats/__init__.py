"""The supported formats of labelled images, one module each; recognition.py says which one a source has."""

from __future__ import annotations

import importlib

from trainers.datasets.formats.format import Format
from trainers.errors import UserError

# The NAMEs of the formats, in this order: the first that recognises a source reads it.
MODULES = (
    "dataset_yaml", "waymo", "tfrecord", "coco", "label_studio", "bdd100k", "cvat", "pascal_voc", "yolo",
)  # fmt: skip
# a folder without such a file is not of that format; the others are asked in any case
SUFFIXES = {
    "coco": ".json", "label_studio": ".json", "bdd100k": ".json", "cvat": ".xml", "pascal_voc": ".xml", "yolo": ".txt",
}  # fmt: skip


def all_formats() -> tuple[Format, ...]:
    """All formats, in the order of MODULES."""
    return tuple(map(by_module, MODULES))


def by_module(name: str) -> Format:
    """The format of one of MODULES."""
    return importlib.import_module(f"{__name__}.{name}")


def named(name: str) -> Format:
    """The format with this NAME. Raises UserError, listing the names, if there is none."""
    if name not in MODULES:
        raise UserError(f"unknown format '{name}'; choose from {', '.join(MODULES)}")
    return by_module(name)
