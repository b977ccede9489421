"""COCO JSON as masks: polygons and run-length encodings drawn into one mask for each image.

Pixels of no object are `background`, the first class. Where objects overlap, the smaller one is in front. Crowds
(`iscrowd`) have no class. Objects with a box alone make their image a problem: nobody said which pixels they have.
Files that label the images of another one again, and files without masks, such as captions, are left out.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from trainers.datasets.files.image_folders import ImageFolders
from trainers.datasets.files.paths import BadImageName, relative
from trainers.datasets.files.streamed_json import BadJson, items
from trainers.datasets.files.walking import walk
from trainers.datasets.formats import coco
from trainers.datasets.formats.parsing.coco_index import category_id, image_row
from trainers.datasets.problems import Problem, Problems
from trainers.errors import UserError
from trainers.segmentation.data.checking import read_image
from trainers.segmentation.data.masked_image import MaskedImage
from trainers.segmentation.data.sources.colour_map import IGNORE, MOST_CLASSES

BACKGROUND = "background"
_INDEX = """
CREATE TABLE images (id TEXT, name TEXT, width INTEGER, height INTEGER, line INTEGER);
CREATE TABLE objects (image TEXT, category INTEGER, shape TEXT, crowd INTEGER, line INTEGER);
"""


def files(root: Path) -> list[Path]:
    """The COCO files that `root` is or holds."""
    candidates = [root] if root.is_file() else walk(root, ".json") if root.is_dir() else []
    return [each for each in candidates if each.suffix.lower() == ".json" and coco.recognises(each)]


class CocoMasks:
    """The COCO files of a folder, indexed on disk.

    classes: `background`, then the categories by id. notes: which files are left out.
    """

    def __init__(self, root: Path) -> None:
        """Raises UserError if a file is broken, or has no categories."""
        self._root = root
        labelling, notes = coco.without_twins(files(root), root)
        indices = [_Index(file, root) for file in labelling]
        self._indices = [index for index in indices if index.has_masks()]
        unused = [index for index in indices if index not in self._indices]
        self.notes = (*notes, *(f"{index.where} is left out: it has no masks" for index in unused))
        names = dict.fromkeys(name for index in self._indices for _, name in sorted(index.names.items()))
        self.classes = tuple(dict.fromkeys((BACKGROUND, *names)))
        if not names or len(self.classes) > MOST_CLASSES:
            raise UserError(
                f"{root}: {len(names)} categories in its COCO files; expected 1 to {MOST_CLASSES - 1}"
            )

    def images(self, problems: Problems) -> Iterator[tuple[str | None, MaskedImage]]:
        """The stated part and the image, for each usable image. Adds what is wrong to `problems`."""
        top = self._root if self._root.is_dir() else self._root.parent
        labelled: dict[Path, str] = {}  # the label file of each image so far
        for index in self._indices:
            folders = ImageFolders(index.file, self._root)
            for number, name, size, line in index.images(problems):
                try:
                    path = folders.find(name)
                except BadImageName as error:
                    problems.add(Problem(error.kind, f"{index.where}:{line}", str(error), name))
                    continue
                shown = relative(path, top) if path.is_relative_to(top) else name
                if path in labelled:
                    problems.add(_labelled_twice(shown, labelled[path], f"{index.where}:{line}"))
                    continue
                labelled[path] = index.where
                picture = read_image(path, shown, problems, size, f"{index.where}:{line}")
                if picture is None:
                    continue
                drawn = index.drawn(number, (picture.height, picture.width), self.classes, shown, problems)
                if drawn is not None:
                    yield folders.part_of(path), MaskedImage(shown, picture.data, picture.format, drawn)


def _labelled_twice(name: str, first: str, where: str) -> Problem:
    what = f"{name} already has labels in {first}; put all its labels in one place"
    return Problem("image labelled twice", where, what, f"{where} {name}")


class _Index:
    """One file. names: of its categories, by id. where: its path relative to the source."""

    def __init__(self, file: Path, root: Path) -> None:
        self.file, self.where = file, relative(file, root) if root.is_dir() else file.name
        self.names: dict[int, str] = {}
        self._index = sqlite3.connect("")
        self._index.executescript(_INDEX)
        try:
            for item in items(file):
                if isinstance(item.value, dict):
                    self._add(item.key, item.value, item.line)
        except BadJson as error:
            raise UserError(f"{file}: broken COCO JSON: {error}") from None
        self._index.execute("CREATE INDEX by_image ON objects (image)")

    def _add(self, key: str | None, fields: Mapping[str, Any], line: int) -> None:
        if key == "images":
            image, file_name, width, height, _, _ = image_row(fields, line)
            row = (image, file_name, width, height, line)
            self._index.execute("INSERT INTO images VALUES (?, ?, ?, ?, ?)", row)
        elif key == "annotations":
            shape = fields.get("segmentation")
            given = (
                json.dumps(fields.get("image_id")),
                category_id(fields.get("category_id")),
                json.dumps(shape) if shape else None,
            )
            self._index.execute(
                "INSERT INTO objects VALUES (?, ?, ?, ?, ?)", (*given, bool(fields.get("iscrowd")), line)
            )
        elif key == "categories":
            number, name = category_id(fields.get("id")), fields.get("name")
            if not isinstance(number, int) or not isinstance(name, str) or not name.strip():
                raise UserError(
                    f"{self.file}:{line}: category {number} has no name; each needs an id and a name"
                )
            self.names[number] = name

    def has_masks(self) -> bool:
        """Whether it has categories and annotations with them; an empty list says that its images show nothing."""
        used = {category for (category,) in self._index.execute("SELECT DISTINCT category FROM objects")}
        return bool(self.names) and used != {None} and coco.lists_annotations(self.file)

    def images(self, problems: Problems) -> Iterator[tuple[str, str, tuple[int, int] | None, int]]:
        """id, file name, stated (width, height) and line of each image; the index is closed after the last.

        A repeated id is a problem.
        """
        seen: set[str] = set()
        with closing(self._index):
            wanted = "SELECT id, name, width, height, line FROM images ORDER BY rowid"
            for number, name, width, height, line in self._index.execute(wanted).fetchall():
                if number in seen:
                    place = f"{self.where}:{line}"
                    what = f"image id {json.loads(number)} is repeated; the second image, {name}, is left out"
                    problems.add(Problem("duplicate image id", place, what, f"{place} {name}"))
                else:
                    seen.add(number)
                    yield number, name, (width, height) if width else None, line

    def drawn(
        self, number: str, size: tuple[int, int], classes: tuple[str, ...], name: str, problems: Problems
    ) -> np.ndarray | None:
        """The mask of an image, (H, W) uint8; None if an object of it cannot be drawn."""
        mask = np.zeros(size, np.uint8)
        shapes = []
        rows = self._index.execute(
            "SELECT category, shape, crowd, line FROM objects WHERE image = ?", (number,)
        )
        for category, shape, crowd, line in rows.fetchall():
            where = f"{self.where}:{line}"
            if category not in self.names:
                problems.add(
                    Problem(
                        "undeclared category",
                        where,
                        f"category {category} is not among its categories",
                        name,
                        fatal=True,
                    )
                )
                return None
            if shape is None:
                what = "an object with a box alone; its pixels are not known"
                problems.add(Problem("object without a polygon", where, what, name))
                return None
            try:
                pixels = _pixels(json.loads(shape), size)
            except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
                what = f"no polygon of this image: {' '.join(str(error).split())[:100]}"
                problems.add(Problem("unusable polygon", where, what, name))
                return None
            shapes.append((pixels, IGNORE if crowd else classes.index(self.names[category])))
        for pixels, value in sorted(shapes, key=lambda each: -int(each[0].sum())):
            mask[pixels] = value
        return mask


def _pixels(shape: Any, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool of polygons ([[x, y, x, y, ...], ...], in pixels) or of a run-length encoding, in COCO's way."""
    from faster_coco_eval.core import mask as coco_mask

    if isinstance(shape, dict):
        if tuple(shape["size"]) != size:
            height, width = shape["size"]
            raise ValueError(f"its mask is {width}x{height} px, the image {size[1]}x{size[0]}")
        encoded = coco_mask.frPyObjects(shape, *size) if isinstance(shape["counts"], list) else shape
    else:
        polygons = shape if isinstance(shape[0], list) else [shape]
        if any(len(each) < 6 or len(each) % 2 for each in polygons):
            raise ValueError("a polygon needs 3 points or more")
        encoded = coco_mask.merge(coco_mask.frPyObjects([list(map(float, each)) for each in polygons], *size))
    return np.asarray(coco_mask.decode(encoded)).astype(bool)
