"""COCO JSON: one file for each part with images, annotations and categories; boxes are [x, y, width, height] in pixels.

Files are streamed into a temporary index on disk, since the annotations of an image may be anywhere in them.
Annotations without a box, such as captions, are left out. `iscrowd` and `area` are kept; `ignore` and `difficult`, which
converters write for Pascal VOC's flag, mean the same.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from trainers.datasets.files.image_folders import ImageFolders
from trainers.datasets.files.image_writing import write_image
from trainers.datasets.files.paths import BadImageName, first_bytes, relative
from trainers.datasets.files.streamed_json import BadJson, items
from trainers.datasets.files.walking import walk
from trainers.datasets.formats.format import Source
from trainers.datasets.label_map import remapping_note
from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.object_size import stated_area
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.errors import UserError

NAME = "coco"
TITLE = "COCO JSON"
TRAINABLE_IN_PLACE = False

_BEGINS = re.compile(
    rb'\s*\{\s*(?:"(?:images|annotations|categories)"\s*:\s*\[|"(?:info|licenses|type)"\s*:)'
)
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
_LARGEST_EDGE = 1e9


def _is_coco(file: Path) -> bool:
    return bool(_BEGINS.match(first_bytes(file)))


def _files(path: Path) -> list[Path]:
    return [file for file in ([path] if path.is_file() else walk(path, ".json")) if _is_coco(file)]


def recognises(path: Path) -> bool:
    """A JSON file that begins with one of COCO's keys, or a folder with such files."""
    return bool(_files(path)) if path.is_dir() or path.suffix == ".json" else False


def roots(path: Path) -> Sequence[Path]:
    """The folder; for a file, the file and the folder of its images."""
    return (path,) if path.is_dir() else (path, ImageFolders(path, path).top)


def read(path: Path, problems: Problems) -> Source:
    """Open the file, or all such files in the folder. Raises UserError if their categories are unusable."""
    files = _files(path)
    names: dict[int, str] = {}
    indices = []
    for file in files:
        index, own = _indexed(file, relative(file, path), problems)
        if not own:
            index.close()  # a file of captions, panoptic labels or image info, without boxes
            continue
        indices.append((file, index, own))
        for number, name in own.items():
            if names.setdefault(number, name) != name:
                where = f"{path}: {relative(file, path)}"
                raise UserError(
                    f"{where}: category {number} is '{name}', but '{names[number]}' in another file"
                )
    if not names:
        raise UserError(f'{path}: no categories; a COCO file lists its classes under "categories"')
    note = remapping_note(dict(sorted(names.items())))
    return Source(
        images=_images(path, indices, problems),
        classes=tuple(name for _, name in sorted(names.items())),
        declared_in="its categories",
        notes=(note,) if note else (),
    )


def _indexed(file: Path, where: str, problems: Problems) -> tuple[sqlite3.Connection, dict[int, str]]:
    """A temporary index of a file, deleted when its connection closes, and the category names by id."""
    index = sqlite3.connect("")
    index.executescript(_INDEX)
    names: dict[int, str] = {}
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _COLUMNS}

    def flush(table: str) -> None:
        marks = ", ".join("?" * _COLUMNS[table])
        index.executemany(f"INSERT INTO {table} VALUES ({marks})", rows[table])
        rows[table].clear()

    try:
        for item in items(file):
            fields = item.value
            if not isinstance(fields, dict):
                continue
            if item.key == "images":
                rows["images"].append(_image_row(fields, item.line))
            elif item.key == "annotations":
                category = fields.get("category_id")
                rows["annotations"].append(
                    (
                        _key(fields.get("image_id")),
                        _key(fields.get("id")),
                        category if isinstance(category, int) else str(category),
                        *_edges(fields.get("bbox")),
                        _is_set(fields.get("iscrowd")),
                        _is_set(fields.get("ignore")) or _is_set(fields.get("difficult")),
                        stated_area(fields.get("area")),
                        item.line,
                    )
                )
            elif item.key == "categories":
                _add_category(fields, names, f"{where}:{item.line}", problems)
            if item.key in rows and len(rows[item.key]) == _ROWS:
                flush(item.key)
    except BadJson as error:
        raise UserError(f"{problems.source}: {where}: {error}") from None
    for table in rows:
        flush(table)
    index.execute("CREATE INDEX by_id ON images (id)")
    index.execute("CREATE INDEX by_image ON annotations (image)")
    for number, name, line in index.execute(f"SELECT id, name, line {_REPEATED_IMAGE}"):
        place = f"{where}:{line}"
        what = f"image id {json.loads(number)} is repeated; the second image, {name}, is left out"
        problems.add(Problem("duplicate image id", place, what, f"{place} {name}"))
    index.execute(f"DELETE {_REPEATED_IMAGE}")
    for number, line in index.execute(_REPEATED_ANNOTATION):
        problems.add(
            Problem("duplicate annotation id", f"{where}:{line}", f"annotation id {number} is repeated")
        )
    return index, names


def _edges(bbox: Any) -> tuple[float | None, float | None, float | None, float | None, str | None]:
    """x, y, width, height and None; if bbox is not four numbers, four times None and bbox as JSON."""
    if type(bbox) is list and len(bbox) == 4 and {int, float}.issuperset(map(type, bbox)):
        x, y, width, height = bbox
        if all([-_LARGEST_EDGE < edge < _LARGEST_EDGE for edge in bbox]):  # noqa: C419 - three times as fast
            return x, y, width, height, None
    return None, None, None, None, json.dumps(bbox)


def _is_set(flag: Any) -> bool:
    """Whether a flag is 1; some tools write true, or numbers as texts."""
    return str(flag).lower() in ("1", "1.0", "true")


def _key(value: Any) -> str:
    """An id as JSON."""
    return str(value) if type(value) is int else json.dumps(value)


def _image_row(fields: dict[str, Any], line: int) -> tuple[Any, ...]:
    name, width, height = str(fields.get("file_name")), fields.get("width"), fields.get("height")
    stated = isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0
    video = json.dumps(fields["video_id"]) if "video_id" in fields else None
    size = (width, height) if stated else (None, None)
    return (_key(fields.get("id")), name, *size, video, line)


def _add_category(fields: dict[str, Any], names: dict[int, str], place: str, problems: Problems) -> None:
    number, name = fields.get("id"), fields.get("name")
    if not isinstance(number, int) or not isinstance(name, str) or not name.strip():
        raise UserError(
            f"{problems.source}: {place}: category {number} has no name; each category needs an id and a name"
        )
    if name in names.values() or number in names:
        raise UserError(f"{problems.source}: {place}: repeated category id {number} or name '{name}'")
    names[number] = name


def _images(
    root: Path, indices: Sequence[tuple[Path, sqlite3.Connection, dict[int, str]]], problems: Problems
) -> Iterator[LabelledImage]:
    for file, index, names in indices:
        where, folders = relative(file, root), ImageFolders(file, root)
        with closing(index):
            for (_, name, width, height, video, line), rows in groupby(
                index.execute(_LISTED), itemgetter(slice(6))
            ):
                try:
                    stored = Stored(folders.find(name))
                except BadImageName as error:
                    place = f"{where}:{line}"
                    problems.add(Problem(error.kind, place, str(error), place))
                    continue
                image = relative(stored.path, root) if root.is_dir() else name
                boxes = [_box(row[6:], where, image, names, problems) for row in rows if row[-1] is not None]
                yield LabelledImage(
                    name=image,
                    stored=stored,
                    boxes=tuple([box for box in boxes if box]),
                    labelled_in=where,
                    size=(width, height) if width else None,
                    part=folders.part_of(stored.path),
                    sequence=None if video is None else f"{where} {video}",
                )
            lost = "SELECT image, COUNT(*), MIN(line) FROM annotations WHERE image NOT IN (SELECT id FROM images) "
            for image_id, count, line in index.execute(lost + "GROUP BY image"):
                what = f"{count} annotations refer to image {image_id}, which is not listed"
                problems.add(
                    Problem("annotation for a missing image", f"{where}:{line}", what, f"{where} {image_id}")
                )


def _box(
    row: tuple[Any, ...], where: str, image: str, names: dict[int, str], problems: Problems
) -> Box | None:
    """The box of a row (id, category, x, y, w, h, bbox, crowd, difficult, area, line); None if unusable."""
    number, category, x, y, width, height, text, crowd, difficult, area, line = row
    if category not in names:
        what = f"annotation {number} has category_id {category}, which is not in its categories; add it there"
        problems.add(Problem("unknown label", f"{where}:{line}", what, image, fatal=True))
        return None
    if text is None:
        return Box(names[category], y, x, y + height, x + width, bool(difficult), bool(crowd), line, area)
    bbox = json.loads(text)
    if bbox is None or bbox == []:
        problems.add(Problem("annotation without a box", f"{where}:{line}", f"annotation {number}"))
        return None
    try:
        x, y, width, height = (float(edge) for edge in bbox)
    except (TypeError, ValueError, OverflowError):
        what = f"annotation {number} has bbox {text[:80]}; expected [x, y, width, height]"
        problems.add(Problem("invalid box coordinates", f"{where}:{line}", what, image))
        return None
    return Box(names[category], y, x, y + height, x + width, bool(difficult), bool(crowd), line, area)


def write(folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]) -> None:
    """Write `annotations/instances_<part>.json` and `images/<part>/`."""
    (folder / "annotations").mkdir()
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    for part, images in parts.items():
        labels = folder / "annotations" / f"instances_{part}.json"
        # annotations are collected in a temporary file, since they follow all images
        with (
            labels.open("w", encoding="utf-8") as file,
            tempfile.TemporaryFile("w+", encoding="utf-8") as waiting,
        ):
            file.write(f'{{"categories": {json.dumps(categories, ensure_ascii=False)},\n"images": [')
            annotation_id = 0
            for image_id, image in enumerate(images, 1):
                name = write_image(folder / "images" / part, image)
                entry = {"id": image_id, "file_name": name, "width": image.width, "height": image.height}
                file.write(("," if image_id > 1 else "") + "\n" + json.dumps(entry, ensure_ascii=False))
                areas = image.areas or (None,) * len(image.labels)
                for (ymin, xmin, ymax, xmax), label, difficult, crowd, area in zip(
                    image.pixel_boxes().tolist(),
                    image.labels,
                    image.difficult,
                    image.crowd,
                    areas,
                    strict=True,
                ):
                    annotation_id += 1
                    width, height = xmax - xmin, ymax - ymin
                    annotation = {
                        "id": annotation_id, "image_id": image_id, "category_id": label,
                        "bbox": [round(edge, 2) for edge in (xmin, ymin, width, height)],
                        "area": round(width * height if area is None else area, 2), "iscrowd": int(crowd),
                        **({"ignore": 1} if difficult else {}),
                    }  # fmt: skip
                    waiting.write(("," if annotation_id > 1 else "") + "\n" + json.dumps(annotation))
            file.write('],\n"annotations": [')
            waiting.seek(0)
            shutil.copyfileobj(waiting, file)
            file.write("]}\n")
