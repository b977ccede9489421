"""CocoIndex: one COCO file in a temporary database on disk, since the annotations of an image may be anywhere in it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from trainers.datasets.files.streamed_json import BadJson, items
from trainers.datasets.formats.parsing.coco_shapes import edges
from trainers.datasets.object_size import stated_area
from trainers.datasets.problems import Problem, Problems
from trainers.errors import UserError

# ids are kept as JSON, since they may be numbers or strings; so is a bbox that is not four numbers
_INDEX = """
CREATE TABLE images (id TEXT, name TEXT, width, height, video TEXT, line INTEGER);
CREATE TABLE annotations (image TEXT, id TEXT, category, x REAL, y REAL, w REAL, h REAL, bbox TEXT, crowd INTEGER,
    difficult INTEGER, area REAL, line INTEGER);
"""
_COLUMNS = {"images": 6, "annotations": 12}
_ROWS = 1000  # per INSERT
# all but the first of several images with the same id
_REPEATED_IMAGE = "FROM images WHERE rowid NOT IN (SELECT MIN(rowid) FROM images GROUP BY id)"
_REPEATED_ANNOTATION = """
SELECT id, MAX(line) FROM annotations WHERE id != 'null' GROUP BY id HAVING COUNT(*) > 1
"""
# images with their annotations, both in the order of the file
_LISTED = """
SELECT images.id, name, width, height, video, images.line, annotations.id, category, x, y, w, h, bbox, crowd,
    difficult, area, annotations.line
FROM images LEFT JOIN annotations ON image = images.id ORDER BY images.rowid, annotations.rowid
"""


class Category(NamedTuple):
    """An entry of "categories". place: its file and line."""

    name: str
    group: str  # its supercategory, "" if it has none
    place: str


class CocoIndex:
    """The images, annotations and categories of one file; deleted when it is closed.

    where: the file relative to the source. categories: by id.
    """

    def __init__(self, file: Path, where: str, problems: Problems) -> None:
        """Read the file. Raises UserError if it is not valid, or a category has no id or name."""
        self.file = file
        self.where = where
        self.categories: dict[int, Category] = {}
        self._index = sqlite3.connect("")
        self._index.executescript(_INDEX)
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _COLUMNS}
        try:
            self._fill(problems.source)
        except BadJson as error:
            raise UserError(f"{problems.source}: {where}: broken COCO JSON: {error}") from None
        self._report_repetitions(problems)

    def close(self) -> None:
        """Delete the database."""
        self._index.close()

    def _fill(self, source: str) -> None:
        for item in items(self.file):
            fields = item.value
            if not isinstance(fields, dict):
                continue
            if item.key == "images":
                self._rows["images"].append(image_row(fields, item.line))
            elif item.key == "annotations":
                self._rows["annotations"].append(_annotation_row(fields, item.line))
            elif item.key == "categories":
                self._add_category(fields, f"{self.where}:{item.line}", source)
            if item.key in self._rows and len(self._rows[item.key]) == _ROWS:
                self._flush(item.key)
        for table in self._rows:
            self._flush(table)
        self._index.execute("CREATE INDEX by_id ON images (id)")
        self._index.execute("CREATE INDEX by_image ON annotations (image)")

    def _flush(self, table: str) -> None:
        marks = ", ".join("?" * _COLUMNS[table])
        self._index.executemany(f"INSERT INTO {table} VALUES ({marks})", self._rows[table])
        self._rows[table].clear()

    def _add_category(self, fields: dict[str, Any], place: str, source: str) -> None:
        number, name = category_id(fields.get("id")), fields.get("name")
        if not isinstance(number, int):
            raise UserError(f"{source}: {place}: category id {fields.get('id')!r}; expected a whole number")
        if not isinstance(name, str) or not name.strip():
            raise UserError(
                f"{source}: {place}: category {number} has no name; each category needs an id and a name"
            )
        if number in self.categories:
            raise UserError(f"{source}: {place}: repeated category id {number}")
        group = fields.get("supercategory")
        self.categories[number] = Category(name, group if isinstance(group, str) else "", place)

    def _report_repetitions(self, problems: Problems) -> None:
        for number, name, line in self._index.execute(f"SELECT id, name, line {_REPEATED_IMAGE}"):
            place = f"{self.where}:{line}"
            what = f"image id {json.loads(number)} is repeated; the second image, {name}, is left out"
            problems.add(Problem("duplicate image id", place, what, f"{place} {name}"))
        self._index.execute(f"DELETE {_REPEATED_IMAGE}")
        for number, line in self._index.execute(_REPEATED_ANNOTATION):
            what = f"annotation id {number} is repeated"
            problems.add(Problem("duplicate annotation id", f"{self.where}:{line}", what))

    def used_categories(self) -> set[Any]:
        """The category ids of its annotations; an annotation without one counts as "None"."""
        return {category for (category,) in self._index.execute("SELECT DISTINCT category FROM annotations")}

    def listed(self) -> Iterator[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]:
        """Each image (id, name, width, height, video, line) with its annotations

        (id, category, x, y, width, height, bbox as JSON if it is not four numbers, crowd, difficult, area, line).
        """
        for image, rows in groupby(self._index.execute(_LISTED), itemgetter(slice(6))):
            yield image, [row[6:] for row in rows if row[-1] is not None]

    def lost(self) -> Iterator[tuple[str, int, int]]:
        """(image id, number of annotations, line) of images that annotations refer to and that are not listed."""
        wanted = (
            "SELECT image, COUNT(*), MIN(line) FROM annotations WHERE image NOT IN (SELECT id FROM images) "
        )
        yield from self._index.execute(wanted + "GROUP BY image")


def _annotation_row(fields: dict[str, Any], line: int) -> tuple[Any, ...]:
    category = category_id(fields.get("category_id"))
    return (
        _key(fields.get("image_id")),
        _key(fields.get("id")),
        category if isinstance(category, int) else str(category),
        *edges(fields.get("bbox"), fields.get("segmentation")),
        _is_set(fields.get("iscrowd")),
        _is_set(fields.get("ignore")) or _is_set(fields.get("difficult")),
        stated_area(fields.get("area")),
        line,
    )


def category_id(value: Any) -> Any:
    """A category's id as a whole number; some tools write "1" or 1.0."""
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_set(flag: Any) -> bool:
    """Whether a flag is 1; some tools write true, or numbers as texts."""
    return bool(flag) and str(flag).lower() in ("1", "1.0", "true")


def _key(value: Any) -> str:
    """An id as JSON."""
    return str(value) if type(value) is int else json.dumps(value)


def image_row(
    fields: Mapping[str, Any], line: int
) -> tuple[str, str, int | None, int | None, str | None, int]:
    """id, file name, width, height, video and line of an entry of "images"; None for what it does not state."""
    name, width, height = str(fields.get("file_name")), fields.get("width"), fields.get("height")
    stated = isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0
    video = json.dumps(fields["video_id"]) if "video_id" in fields else None
    size = (width, height) if stated else (None, None)
    return (_key(fields.get("id")), name, *size, video, line)
