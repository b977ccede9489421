"""TFRecord files for the Object Detection API, with a label map in the folder or beside it.

The label map translates label ids to class names, so that any ids may be used; without one, the class texts in the
records do. File names state the part, such as `train.tfrecord`; a Waymo segment is a sequence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

from trainers.datasets.files.parts import StatedParts
from trainers.datasets.files.paths import relative
from trainers.datasets.files.walking import walk_matching
from trainers.datasets.formats.format import Source
from trainers.datasets.formats.parsing.label_map_choice import Evidence, chosen, label_maps
from trainers.datasets.label_map import LabelMap, load_label_map, remapping_note, write_label_map
from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.object_size import stated_area
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records import tf_example
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.tfrecords import CorruptRecord, TFRecordWriter, read_record, record_locations
from trainers.errors import UserError

NAME = "tfrecord"
TITLE = "TFRecord with a label map"
TRAINABLE_IN_PLACE = True
STATES = frozenset({"crowd", "difficult", "weight"})

_FILE = re.compile(r"(^|[._-])(tf)?records?(-\d+-of-\d+)?$", re.IGNORECASE)
_EDGES = tuple(f"image/object/bbox/{edge}" for edge in ("ymin", "xmin", "ymax", "xmax"))
_NEEDED = ("image/height", "image/width", "image/format", "image/filename", "image/source_id")
_RECORDS_IN_A_FILE = 500
_SAMPLED = 50  # records of each file that decide between several label maps


def record_files(path: Path) -> Iterator[Path]:
    """Files named *.tfrecord, *.record, *.tfrecord-00000-of-00004 or similar in a folder; or `path` if it is one."""
    if path.is_file():
        yield from (path,) if _FILE.search(path.name) else ()
    else:
        yield from walk_matching(path, _FILE)


def recognises(path: Path) -> bool:
    """A TFRecord file, or a folder with such files, judged by name."""
    return next(record_files(path), None) is not None


def roots(path: Path) -> Sequence[Path]:
    """The file or folder, and the label maps that are outside."""
    return (path, *(file for file in _label_maps(path) if not file.is_relative_to(path)))


def _label_maps(path: Path) -> list[Path]:
    """The label maps in the folder, then those beside it."""
    folder = path.absolute() if path.is_dir() else path.absolute().parent
    return [*label_maps(path if path.is_dir() else path.parent), *label_maps(folder.parent, below=False)]


def label_map_of(path: Path) -> Path | None:
    """The label map in the folder or beside it that fits the records; None if there is none.

    Raises UserError if several fit, or none of several.
    """
    folder = path if path.is_dir() else path.parent
    found = _label_maps(path)
    within = [file for file in found if file.is_relative_to(folder)]
    if len(found) == len(within) < 2:
        return found[0] if found else None
    return chosen(path, within, [file for file in found if file not in within], _evidence(path))


def read(path: Path, problems: Problems) -> Source:
    """Open the file or the folder."""
    file = label_map_of(path)
    known = load_label_map(file) if file else LabelMap(_names_by_text(path))
    declared_in = file.name if file else "the class texts of the records"
    note = remapping_note(known.names)
    said = f"label map: {file}" if file else "no label map: the classes are those of the records' texts"
    return Source(
        images=read_images(path, known, declared_in, problems),
        classes=tuple(known.names.values()),
        declared_in=declared_in,
        notes=(said, *([note] if note else [])),
        remapped=note is not None,
    )


def _silent_examples(path: Path, limit: int | None = None) -> Iterator[tuple[dict[str, list[Any]], str]]:
    """The features of the records, at most `limit` of each file; reading them again reports their problems."""
    for file in record_files(path):
        yield from islice(_examples_of(file, path, Problems(str(path), on_problem=lambda _: None)), limit)


def _evidence(path: Path) -> Evidence:
    texts: dict[int, set[str]] = {}
    for features, _ in _silent_examples(path, _SAMPLED):
        names = [text.decode("utf-8", "replace") for text in features.get("image/object/class/text", [])]
        numbers = features.get("image/object/class/label", [])
        for number, text in zip_longest(numbers or [-1] * len(names), names, fillvalue=""):
            texts.setdefault(int(number) if number != "" else -1, set()).add(str(text))
    return Evidence(texts)


def _names_by_text(path: Path) -> dict[int, str]:
    """Class names by label id, sorted by id, from the class texts of the records; by alphabet if they have no ids."""
    names: dict[int, str] = {}
    without_ids: set[str] = set()
    for features, where in _silent_examples(path):
        texts = [text.decode("utf-8", "replace") for text in features.get("image/object/class/text", [])]
        labels = features.get("image/object/class/label", [])
        if not labels:
            without_ids.update(texts)
        for label, name in zip(labels, texts, strict=False):
            if names.setdefault(label, name) != name:
                both = f"label {label} is called both '{names[label]}' and '{name}'"
                raise UserError(f"{path}: {where}: {both}; add the label map (*.pbtxt) to the folder")
    if not names and without_ids:
        names = dict(enumerate(sorted(without_ids), 1))
    if not names or len(set(names.values())) < len(names) or not all(names.values()):
        raise UserError(f"{path}: no label map (*.pbtxt) beside the TFRecord files; add one")
    return dict(sorted(names.items()))


def _examples(root: Path, problems: Problems) -> Iterator[tuple[dict[str, list[Any]], str]]:
    """The features of every intact record, and its place for messages; `features["stored"]` holds its Stored."""
    for file in record_files(root):
        yield from _examples_of(file, root, problems)


def _examples_of(file: Path, root: Path, problems: Problems) -> Iterator[tuple[dict[str, list[Any]], str]]:
    with file.open("rb") as opened:
        for number, place in enumerate(record_locations(file), 1):
            where = f"{relative(file, root)}, record {number}"
            if isinstance(place, CorruptRecord):
                what = f"{place}; the following records are lost; copy the file again"
                problems.add(Problem("truncated file", where, what, where, fatal=True))
                break
            try:
                features = tf_example.decode(read_record(opened, place))
            except (CorruptRecord, ValueError) as error:
                problems.add(Problem("corrupt record", where, str(error), where))
                continue
            yield features | {"stored": [Stored(file, place)]}, where


def read_images(root: Path, known: LabelMap, declared_in: str, problems: Problems) -> Iterator[LabelledImage]:
    """The image of every record, with its boxes. `known`: the classes, as declared in `declared_in`."""
    parts = StatedParts(root)
    for features, where in _examples(root, problems):
        name = (features.get("image/filename") or features.get("image/source_id") or [b""])[0]
        name = name.decode("utf-8", "replace") or where
        stored: Stored = features["stored"][0]
        absent = [key for key in _NEEDED if not features.get(key)]
        if absent:
            problems.add(Problem("incomplete record", where, f"no {', '.join(absent)}", harmless=True))
        try:
            if not features.get("image/encoded"):
                raise ValueError("no image/encoded")
            boxes = tuple(_boxes(features, where, name, known, declared_in, problems))
        except ValueError as error:
            problems.add(Problem("corrupt record", where, str(error), where))
            continue
        yield LabelledImage(
            name=name,
            stored=stored,
            boxes=boxes,
            labelled_in=where,
            fractions=True,
            part=parts.of_labels(stored.path),
            sequence=stored.path.name if stored.path.name.startswith("segment-") else None,
        )


def _boxes(
    features: Mapping[str, list[Any]],
    where: str,
    image: str,
    known: LabelMap,
    declared_in: str,
    problems: Problems,
) -> Iterator[Box]:
    edges = [features.get(edge, []) for edge in _EDGES]
    labels = features.get("image/object/class/label", [])
    texts = [text.decode("utf-8", "replace") for text in features.get("image/object/class/text", [])]
    count = len(edges[0])
    if not labels and texts:
        labels = [known.number_of(text) or text for text in texts]
        what = "no image/object/class/label; the class texts are used"
        problems.add(Problem("incomplete record", where, what, harmless=True))
    difficult = features.get("image/object/difficult") or [0] * count
    crowd = features.get("image/object/is_crowd") or [0] * count
    groups = features.get("image/object/group_of") or [0] * count
    weights = features.get("image/object/weight") or [1.0] * count
    areas = features.get("image/object/area") or [None] * count
    columns = (*edges, labels, difficult, crowd, groups, weights, areas)
    if {len(each) for each in columns} != {count} or len(texts) not in (0, count):
        raise ValueError("different numbers of box edges, labels, flags, weights or areas")
    for index, label in enumerate(labels):
        what = ""
        if label not in known.names:
            what = f"label {label} is not in {declared_in}; add it there with its name"
        # the text of another class, or of none, means that the label map belongs to other records
        elif texts and texts[index] and not known.means(label, texts[index]):
            what = (
                f"label {label} is '{texts[index]}' in the record but '{known.names[label]}' in {declared_in}"
            )
            what += "; use the label map that belongs to the records"
        if what:
            problems.add(Problem("unknown label", where, what, image, fatal=True))
            continue
        ymin, xmin, ymax, xmax = (edge[index] for edge in edges)
        weight = weights[index]
        if not 0 <= weight < math.inf:
            what = f"weight {weight:g} of '{known.names[label]}' is not 0 or more; it is read as 1"
            problems.add(Problem("invalid box weight", where, what, image))
            weight = 1.0
        yield Box(
            known.names[label], ymin, xmin, ymax, xmax, bool(difficult[index]), bool(crowd[index] or groups[index]),
            area=stated_area(areas[index]), weight=weight,
        )  # fmt: skip


def write(folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]) -> None:
    """Write `<part>-00000.tfrecord`, ..., and `label_map.pbtxt`."""
    write_label_map(folder / "label_map.pbtxt", classes)
    for part, images in parts.items():
        for number, some in enumerate(in_groups(images, _RECORDS_IN_A_FILE)):
            with TFRecordWriter(folder / f"{part}-{number:05d}.tfrecord") as shard:
                for image in some:
                    shard.write(image.encode(classes))


def in_groups(images: Iterable[CheckedImage], size: int) -> Iterator[Iterator[CheckedImage]]:
    """Consecutive groups of up to `size` images; each must be consumed before the next."""
    rest = iter(images)
    for first in rest:
        yield chain((first,), islice(rest, size - 1))
