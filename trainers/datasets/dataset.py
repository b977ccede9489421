"""Dataset: what a trainer trains and validates on, as TFRecord files of the Object Detection API.

Its manifest, `dataset.json`, is written last: a folder with a manifest is whole.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.errors import UserError

MANIFEST = "dataset.json"


@dataclass(frozen=True)
class Part:
    """The training, the validation or the test part.

    files: TFRecord shards of the Object Detection API, label ids 1..N in the order of Dataset.classes.
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
    notes: what a person should know of it, one line each: ids remapped, images left out, ...
    test: a third part that neither training nor the search sees.
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
        """The parts that there are, by name."""
        parts = {"train": self.train, "validation": self.validation}
        return parts | {"test": self.test} if self.test else parts

    @property
    def label_map(self) -> Path:
        """Where the label map of `classes` lies: beside the training records."""
        return self.train.files[0].parent / "label_map.pbtxt"

    def to_dict(self, relative_to: Path | None = None) -> dict[str, Any]:
        """Plain values, as JSON holds them; files inside `relative_to` are named from there."""

        def named(file: Path) -> str:
            inside = relative_to is not None and file.is_relative_to(relative_to)
            return file.relative_to(relative_to).as_posix() if inside and relative_to else str(file)

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
        """Write `dataset.json` into `folder`, whole or not at all."""
        partial = folder / f".{MANIFEST}.partial"
        with partial.open("w", encoding="utf-8") as file:
            json.dump(self.to_dict(folder), file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / MANIFEST)


def from_dict(fields: dict[str, Any], folder: Path = Path()) -> Dataset:
    """The Dataset that `to_dict` made; relative files lie in `folder`."""
    parts = {
        name: Part(tuple(folder / file for file in part["files"]), int(part["images"]))
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
    """The Dataset in `folder`. Raises UserError when its manifest or one of its files is not there."""
    try:
        dataset = from_dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")), folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / MANIFEST}: cannot be read ({error}); delete {folder} to convert anew"
        ) from None
    for part in dataset.parts.values():
        for file in part.files:
            if not file.is_file():
                raise UserError(
                    f"{file} is gone, but {folder / MANIFEST} names it; delete {folder} to convert anew"
                )
    return dataset
