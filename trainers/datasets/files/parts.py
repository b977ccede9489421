"""StatedParts: the part, train, validation or test, that folders and label files state by their names.

A name states a part if it says nothing else (`train`, `val2017`, `test_images`, `instances_train.json`), or if its
neighbour has the same name for another part (`raccoon_train.record` beside `raccoon_val.record`). So neither
`Val d'Isere` nor `test_drive` states one. Names of image files never do.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_SPELLINGS = {
    "train": ("train", "training", "trainset"),
    "validation": ("val", "valid", "validation", "valset", "minival", "eval", "dev"),
    "test": ("test", "testing", "testset"),
}
_PART_OF_WORD = {word: part for part, words in _SPELLINGS.items() for word in words}
# words that may stand beside the part without giving the name another meaning
_NEUTRAL = frozenset((
    "image", "images", "img", "imgs", "jpegimages", "label", "labels", "annotation", "annotations", "anns", "instances",
    "keypoints", "coco", "voc", "yolo", "bdd", "bdd100k", "100k", "det", "data", "dataset", "set", "split", "part", "of",
    "tfrecord", "tfrecords", "record", "records", "json", "txt", "list",
))  # fmt: skip
_WORD = re.compile(r"[^\W_]+")


class StatedParts:
    """The parts stated by the names of folders and label files below `root`; the name of `root` itself states none."""

    def __init__(self, root: Path) -> None:
        self._root = root
        top = str(root if root.is_dir() else root.parent)
        self._below = f"{top}{os.sep}"
        self._of_folder: dict[str, str | None] = {top: None}

    def of_image(self, path: Path) -> str | None:
        """The part that the nearest folder of an image states; None if none does."""
        return self.of_folder(os.path.dirname(path))  # noqa: PTH120 - called for every image

    def of_labels(self, path: Path) -> str | None:
        """The part that a label file for many images, or else its nearest folder, states; None if none does."""
        if path == self._root:
            return None
        return _stated(str(path), folders=False) or self.of_image(path)

    def of_folder(self, folder: str) -> str | None:
        """The part that a folder, or the nearest one above it, states; None if none does."""
        if folder not in self._of_folder:
            part = None
            if folder.startswith(self._below):
                part = _stated(folder, folders=True) or self.of_folder(os.path.dirname(folder))  # noqa: PTH120
            self._of_folder[folder] = part
        return self._of_folder[folder]


def plainly_stated(name: str) -> str | None:
    """The part that a name states by itself, whatever is beside it."""
    part, words = _read(name)
    return None if words - _NEUTRAL else part


def _stated(path: str, *, folders: bool) -> str | None:
    """The part that the name of a file or folder states, by itself or beside its neighbours."""
    above, name = os.path.split(path)
    part, words = _read(name)
    if part is None or not words - _NEUTRAL:
        return part
    with os.scandir(above) as entries:
        beside = [entry.name for entry in entries if entry.is_dir() == folders and entry.name != name]
    return (
        part
        if any(other not in (None, part) and rest == words for other, rest in map(_read, beside))
        else None
    )


def _read(name: str) -> tuple[str | None, frozenset[str]]:
    """The part that a name mentions, None if it mentions none or several; and its other words, without numbers."""
    words = [word.rstrip("0123456789") or "" for word in _WORD.findall(name.lower())]
    parts = {_PART_OF_WORD[word] for word in words if word in _PART_OF_WORD}
    if parts == {"test", "validation"} and "dev" in words:  # COCO's test-dev
        parts = {"test"}
    rest = frozenset(word for word in words if word and word not in _PART_OF_WORD)
    return (parts.pop() if len(parts) == 1 else None), rest
