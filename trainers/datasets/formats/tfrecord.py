"""TFRecord files of the Object Detection API, with a label map beside them.

Ids are turned into names by the label map, so that it does not matter which ids it uses; without one, the records' own
class texts name them. A file name that speaks of train or validation gives the part; a Waymo segment is a sequence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from trainers.datasets.formats.files import part_of, relative, walk, walk_matching
from trainers.datasets.formats.format import Source
from trainers.datasets.label_map import read_label_map, remapping_note, write_label_map
from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records import tf_example
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.tfrecords import CorruptRecord, TFRecordWriter, read_record, record_locations
from trainers.errors import UserError

NAME = "tfrecord"
TITLE = "TFRecord with a label map"
TRAINABLE_IN_PLACE = True

_FILE = re.compile(r"(^|[._-])(tf)?records?(-\d+-of-\d+)?$", re.IGNORECASE)
_EDGES = tuple(f"image/object/bbox/{edge}" for edge in ("ymin", "xmin", "ymax", "xmax"))
_NEEDED = ("image/height", "image/width", "image/format", "image/filename", "image/source_id")
_RECORDS_IN_A_FILE = 500


def record_files(path: Path) -> Iterator[Path]:
    """The files that are called *.tfrecord, *.record, *.tfrecord-00000-of-00004 and the like; `path` may be one."""
    if path.is_file():
        yield from (path,) if _FILE.search(path.name) else ()
    else:
        yield from walk_matching(path, _FILE)


def recognises(path: Path) -> bool:
    """A file or a folder of files that are called so."""
    return next(record_files(path), None) is not None


def roots(path: Path) -> Sequence[Path]:
    """The files and their label map."""
    found = label_map_of(path)
    return (path,) if found is None or found.is_relative_to(path) else (path, found)


def label_map_of(path: Path) -> Path | None:
    """The label map in the folder, or beside it."""
    folder = path if path.is_dir() else path.parent
    return next(walk(folder, ".pbtxt"), None) or next(
        iter(sorted(folder.absolute().parent.glob("*.pbtxt"))), None
    )


def read(path: Path, problems: Problems) -> Source:
    """Open the file or the folder."""
    label_map = label_map_of(path)
    names = read_label_map(label_map) if label_map else _names_by_text(path)
    declared_in = label_map.name if label_map else "the records' class texts"
    note = remapping_note(names)
    return Source(
        images=read_images(path, names, declared_in, problems),
        classes=tuple(names.values()),
        declared_in=declared_in,
        notes=(note,) if note else (),
    )


def _names_by_text(path: Path) -> dict[int, str]:
    """Names by id as the records' own class texts give them, in the order of ids."""
    names: dict[int, str] = {}
    for features, where in _examples(path, Problems(str(path), on_problem=lambda _: None)):
        texts = features.get("image/object/class/text", [])
        for label, text in zip(features.get("image/object/class/label", []), texts, strict=False):
            name = text.decode("utf-8", "replace")
            if names.setdefault(label, name) != name:
                both = f"label {label} is '{names[label]}' and '{name}'"
                raise UserError(f"{path}: {where}: {both}; put the label map (*.pbtxt) beside the records")
    if not names or len(set(names.values())) < len(names) or not all(names.values()):
        raise UserError(f"{path}: no label map (*.pbtxt) beside the TFRecord files; put one there")
    return dict(sorted(names.items()))


def _examples(root: Path, problems: Problems) -> Iterator[tuple[dict[str, list[Any]], str]]:
    """The features of every record that is whole, and where it is; `features["stored"]` is its place."""
    for file in record_files(root):
        with file.open("rb") as opened:
            for number, place in enumerate(record_locations(file), 1):
                where = f"{relative(file, root)}, record {number}"
                if isinstance(place, CorruptRecord):
                    what = f"{place}, and how much is lost cannot be known; copy it again"
                    problems.add(Problem("file cut off", where, what, where, fatal=True))
                    break
                try:
                    yield (
                        tf_example.decode(read_record(opened, place)) | {"stored": [Stored(file, place)]},
                        where,
                    )
                except (CorruptRecord, ValueError) as error:
                    problems.add(Problem("corrupt record", where, str(error), where))


def read_images(
    root: Path, names: Mapping[int, str], declared_in: str, problems: Problems
) -> Iterator[LabelledImage]:
    """The image of every record, with its boxes; `names` are the classes' by their ids."""
    for features, where in _examples(root, problems):
        name = (features.get("image/filename") or features.get("image/source_id") or [b""])[0]
        name = name.decode("utf-8", "replace") or where
        stored: Stored = features["stored"][0]
        absent = [key for key in _NEEDED if not features.get(key)]
        if absent:
            problems.add(Problem("incomplete record", where, f"it has no {', '.join(absent)}"))
        try:
            if not features.get("image/encoded"):
                raise ValueError("no image/encoded in it")
            boxes = tuple(_boxes(features, where, name, names, declared_in, problems))
        except ValueError as error:
            problems.add(Problem("corrupt record", where, str(error), where))
            continue
        yield LabelledImage(
            name=name,
            stored=stored,
            boxes=boxes,
            labelled_in=where,
            fractions=True,
            part=part_of(stored.path, root),
            sequence=stored.path.name if stored.path.name.startswith("segment-") else None,
        )


def _boxes(
    features: Mapping[str, list[Any]],
    where: str,
    image: str,
    names: Mapping[int, str],
    declared_in: str,
    problems: Problems,
) -> Iterator[Box]:
    edges = [features.get(edge, []) for edge in _EDGES]
    labels = features.get("image/object/class/label", [])
    texts = [text.decode("utf-8", "replace") for text in features.get("image/object/class/text", [])]
    count = len(edges[0])
    if not labels and texts:
        by_name = {name: label for label, name in names.items()}
        labels = [by_name.get(text, text) for text in texts]
    difficult = features.get("image/object/difficult") or [0] * count
    crowd = features.get("image/object/is_crowd") or [0] * count
    if {len(each) for each in (*edges, labels, difficult, crowd)} != {count} or len(texts) not in (0, count):
        raise ValueError("it has not as many labels and edges as boxes")
    for index, label in enumerate(labels):
        what = ""
        if label not in names:
            what = f"label {label} is not in {declared_in}; add it there with its name"
        # a text may be a code of its own; one that is another class's name comes from another map
        elif texts and texts[index] != names[label] and texts[index] in names.values():
            what = f"label {label} is called '{texts[index]}' there but '{names[label]}' in {declared_in}"
            what += "; use the records' own label map"
        if what:
            problems.add(Problem("unknown label", where, what, image, fatal=True))
            continue
        ymin, xmin, ymax, xmax = (edge[index] for edge in edges)
        yield Box(names[label], ymin, xmin, ymax, xmax, bool(difficult[index]), bool(crowd[index]))


def write(folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]) -> None:
    """Write `<part>-00000.tfrecord` and so on, with `label_map.pbtxt`."""
    write_label_map(folder / "label_map.pbtxt", classes)
    for part, images in parts.items():
        for number, some in enumerate(in_groups(images, _RECORDS_IN_A_FILE)):
            with TFRecordWriter(folder / f"{part}-{number:05d}.tfrecord") as shard:
                for image in some:
                    shard.write(image.encode(classes))


def in_groups(images: Iterable[CheckedImage], size: int) -> Iterator[Iterator[CheckedImage]]:
    """Consecutive groups of `size`, each to be used up before the next."""
    rest = iter(images)
    for first in rest:
        yield chain((first,), islice(rest, size - 1))
