"""Dataset: labelled images as TFRecord files, which a trainer trains, validates and tests on.

Its manifest, `dataset.json`, is written last: a folder that has one is complete.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.datasets.files.paths import shortened
from trainers.errors import UserError

MANIFEST = "dataset.json"
# of an image, in training; evaluation uses all
MOST_TRAINED_BOXES = 100


@dataclass(frozen=True)
class Part:
    """The training, validation or test part of a dataset.

    files: TFRecord shards of tf.train.Example messages, with the keys of the Object Detection API and label ids
        1..N in the order of Dataset.classes.
    images: number of images in all files.
    """

    files: tuple[Path, ...]
    images: int


@dataclass(frozen=True)
class Dataset:
    """Labelled images, ready to train on.

    name: a short name for people, usually that of the source's folder.
    source: the source as `--data` or `load` named it, or the toy city's settings.
    classes: class names; label id i is classes[i - 1].
    train, validation: disjoint parts.
    fingerprint: hexadecimal digest of images, boxes and class names. Paths do not change it.
    notes: remarks of one line each, such as remapped label ids or images that were left out.
    test: a part that neither training nor search uses; None if the source has none.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    train: Part
    validation: Part
    fingerprint: str
    notes: tuple[str, ...] = ()
    test: Part | None = None

    @property
    def parts(self) -> dict[str, Part]:
        """The existing parts by name: "train", "validation", and maybe "test"."""
        parts = {"train": self.train, "validation": self.validation}
        return parts | {"test": self.test} if self.test else parts

    @property
    def plain_name(self) -> str:
        """The name as a part of a folder's: letters, digits, -, _ and . only, and not too long."""
        plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in self.name)
        return shortened(plain).strip("-")

    @property
    def label_map(self) -> Path:
        """Path of the label map of `classes`, beside the training files."""
        return self.train.files[0].parent / "label_map.pbtxt"

    def to_dict(self, relative_to: Path | None = None) -> dict[str, Any]:
        """As values for JSON; paths inside `relative_to`, or beside it, are made relative to it, others absolute."""

        def named(file: Path) -> str:
            if relative_to is None:
                return str(file)
            near = file.absolute().is_relative_to(relative_to.absolute().parent)
            return Path(os.path.relpath(file, relative_to)).as_posix() if near else str(file.absolute())

        return {
            "name": self.name,
            "source": self.source,
            "classes": list(self.classes),
            "parts": {
                name: {"files": [named(f) for f in part.files], "images": part.images}
                for name, part in self.parts.items()
            },
            "fingerprint": self.fingerprint,
            "notes": list(self.notes),
        }

    def write_manifest(self, folder: Path) -> None:
        """Write `dataset.json` into `folder` atomically."""
        partial = folder / f".{MANIFEST}.partial"
        with partial.open("w", encoding="utf-8") as file:
            json.dump(self.to_dict(folder), file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / MANIFEST)


def from_dict(fields: dict[str, Any], folder: Path = Path()) -> Dataset:
    """The inverse of `Dataset.to_dict`; relative paths are taken from `folder`."""
    parts = {
        name: Part(
            tuple(Path(os.path.normpath(folder / file)) for file in part["files"]), int(part["images"])
        )
        for name, part in fields["parts"].items()
    }
    return Dataset(
        name=fields["name"],
        source=fields["source"],
        classes=tuple(fields["classes"]),
        train=parts["train"],
        validation=parts["validation"],
        fingerprint=fields["fingerprint"],
        notes=tuple(fields["notes"]),
        test=parts.get("test"),
    )


def read_manifest(folder: Path) -> Dataset:
    """The Dataset in `folder`. Raises UserError if its manifest or one of its files is missing or damaged."""
    try:
        dataset = from_dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")), folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / MANIFEST}: cannot be read ({error}); delete {folder} to convert again"
        ) from None
    for part in dataset.parts.values():
        for file in part.files:
            if not file.is_file():
                raise UserError(
                    f"{file}: missing, but listed in {folder / MANIFEST}; delete {folder} to convert again"
                )
    return dataset
