"""TFRecord files of the Object Detection API, with a label map beside them.

Ids are turned into names by the label map, so that it does not matter which ids it uses. A file name that
speaks of train or validation gives the part; a Waymo segment is a sequence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainers.datasets import example
from trainers.datasets.formats.files import part_of, relative, walk
from trainers.datasets.formats.format import Source
from trainers.datasets.label_map import read_label_map, remapping_note
from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.tfrecords import CorruptRecord, places, read_record
from trainers.errors import UserError

NAME = "tfrecord"
TITLE = "TFRecord with a label map"

_FILE = re.compile(r"(^|[._-])(tf)?records?(-\d+-of-\d+)?$", re.IGNORECASE)
_EDGES = tuple(f"image/object/bbox/{edge}" for edge in ("ymin", "xmin", "ymax", "xmax"))


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    yield from (file for file in walk(path) if _FILE.search(file.name))


def recognises(path: Path) -> bool:
    """A file or a folder of files called *.tfrecord, *.record, *.tfrecord-00000-of-00004 and the like."""
    return any(_FILE.search(file.name) for file in _files(path))


def read(path: Path, problems: Problems) -> Source:
    """Open the file or the folder."""
    folder = path if path.is_dir() else path.parent
    label_map = next(walk(folder, ".pbtxt"), None) or next(iter(sorted(folder.parent.glob("*.pbtxt"))), None)
    if label_map is None:
        raise UserError(f"{path}: no label map (*.pbtxt) beside the TFRecord files; put one there")
    names = read_label_map(label_map)
    note = remapping_note(names)
    return Source(
        images=_images(path, names, label_map, problems),
        classes=tuple(names.values()),
        declared_in=str(label_map),
        notes=(note,) if note else (),
    )


def _images(
    root: Path, names: Mapping[int, str], label_map: Path, problems: Problems
) -> Iterator[LabelledImage]:
    for file in _files(root):
        with file.open("rb") as opened:
            for number, place in enumerate(places(file), 1):
                where = f"{relative(file, root)}, record {number}"
                try:
                    if isinstance(place, CorruptRecord):
                        raise UserError(
                            f"{where}: {place}, and how much is lost cannot be known; copy it again"
                        )
                    features = example.decode(read_record(opened, place))
                    yield _image(features, names, label_map, where, Stored(file, place), part_of(file, root))
                except (CorruptRecord, ValueError) as error:
                    problems.add(Problem("corrupt record", where, str(error), where))


def _image(
    features: Mapping[str, list[Any]],
    names: Mapping[int, str],
    label_map: Path,
    where: str,
    stored: Stored,
    part: str | None,
) -> LabelledImage:
    if not features.get("image/encoded"):
        raise ValueError("no image/encoded in it")
    edges = [features.get(edge, []) for edge in _EDGES]
    labels = features.get("image/object/class/label", [])
    texts = [text.decode("utf-8", "replace") for text in features.get("image/object/class/text", [])]
    count = len(edges[0])
    if any(len(edge) != count for edge in edges) or len(labels or texts) != count:
        raise ValueError("it has not as many labels and edges as boxes")
    if not labels:
        by_name = {name: label for label, name in names.items()}
        labels = [by_name.get(text, text) for text in texts]
    for index, label in enumerate(labels):
        if label not in names:
            raise UserError(f"{where}: label {label} is not in {label_map}; add it there with its name")
        # a text may be a code of its own; one that is another class's name is a wrong map
        if index < len(texts) and texts[index] != names[label] and texts[index] in names.values():
            called = f"'{texts[index]}' there but '{names[label]}' in {label_map}"
            raise UserError(f"{where}: label {label} is called {called}; use the records' own label map")
    difficult = features.get("image/object/difficult", []) or [0] * count
    crowd = features.get("image/object/is_crowd", []) or [0] * count
    boxes = tuple(
        Box(names[label], ymin, xmin, ymax, xmax, bool(hard), bool(many))
        for label, ymin, xmin, ymax, xmax, hard, many in zip(labels, *edges, difficult, crowd, strict=True)
    )
    name = features.get("image/filename") or features.get("image/source_id") or [where.encode()]
    segment = stored.path.name if stored.path.name.startswith("segment-") else None
    return LabelledImage(
        name=name[0].decode("utf-8", "replace") or where,
        stored=stored,
        boxes=boxes,
        labelled_in=where,
        fractions=True,
        part=part,
        sequence=segment,
    )
