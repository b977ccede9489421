"""Dataset: what a trainer trains and validates on, as TFRecord files of the Object Detection API on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Part:
    """The training or the validation part.

    files: TFRecord shards in the Object Detection API's format, label ids 1..N in the order of Dataset.classes.
    images: how many records they hold together.
    """

    files: tuple[Path, ...]
    images: int


@dataclass(frozen=True)
class Dataset:
    """Labelled images, ready to train on.

    name: what a person calls it.
    source: what `--data` named, or the toy city's settings.
    classes: names; the class with label id i is classes[i - 1].
    train, validation: disjoint parts.
    fingerprint: hexadecimal digest of the contents (images, boxes, class names), not of paths.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    train: Part
    validation: Part
    fingerprint: str
