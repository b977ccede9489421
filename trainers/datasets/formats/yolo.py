"""YOLO: a text file for each image, with lines `class cx cy width height` in fractions; a file lists the class names.

Label files are beside their images, or in `labels/...` for images in `images/...`. An image without a label file has no
objects. parsing/yolo_lines.py says what a line holds. Boxes refer to the image after its EXIF rotation, as in the tools
that train on this format. `train.txt` and `val.txt` may list the parts; dataset_yaml.py reads a `data.yaml` with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from trainers.datasets.files.image_writing import write_image
from trainers.datasets.files.parts import StatedParts
from trainers.datasets.files.paths import UnsafePath, escapes, first_bytes, relative
from trainers.datasets.files.split_lists import SplitLists
from trainers.datasets.files.walking import IMAGE_SUFFIXES, skipped_files, walk
from trainers.datasets.formats.format import Source
from trainers.datasets.formats.parsing.yolo_classes import class_files, class_names
from trainers.datasets.formats.parsing.yolo_lines import LineShape, line_shape
from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.errors import UserError

NAME = "yolo"
TITLE = "YOLO text files"
TRAINABLE_IN_PLACE = False
STATES: frozenset[str] = frozenset()

_LINE = re.compile(rb"\s*\d+(\s+[-+.\deE]+){4}")  # the start of a label file
_LABELS_OF = {"images": "labels", "Images": "Labels", "IMAGES": "LABELS"}
_IMAGES_OF = {labels: images for images, labels in _LABELS_OF.items()}


def recognises(path: Path) -> bool:
    """A folder with a file of class names or a `labels` folder, and with a label file for at least one image."""
    if not path.is_dir():
        return False
    named = bool(class_files(path)) or any(folder.name in _IMAGES_OF for folder in path.glob("**/"))
    return named and any(label_file(image).is_file() for image in walk(path, *IMAGE_SUFFIXES))


def roots(path: Path) -> Sequence[Path]:
    """The folder."""
    return (path,)


def read(path: Path, problems: Problems) -> Source:
    """Open the folder. Raises UserError if its class names are missing or contradict each other."""
    names, declared_in = class_names(path)
    shape = line_shape(map(label_file, walk(path, *IMAGE_SUFFIXES)), path)
    note = shape.note()
    return Source(
        images=_images(path, YoloLabels(path, names, declared_in, shape), problems),
        classes=tuple(names.values()),
        declared_in=declared_in,
        notes=(note,) if note else (),
    )


def _images(folder: Path, labels: YoloLabels, problems: Problems) -> Iterator[LabelledImage]:
    """Every image below `folder` with its boxes."""
    stated, lists = StatedParts(folder), SplitLists(folder)
    for image in walk(folder, *IMAGE_SUFFIXES):
        found = labels.of(image, problems)
        yield replace(found, part=lists.part_of(image) or stated.of_image(image))
    problems.extend(lists.problems())
    report_skipped_images(folder, folder, problems)
    report_lone_labels(folder, folder, problems)


def report_skipped_images(images: Path, root: Path, problems: Problems) -> None:
    """Report the links to images below the folder `images` that `walk` skips, with names relative to `root`."""
    for path, reason in skipped_files(images):
        if (
            path.suffix.lower() in IMAGE_SUFFIXES and path.is_symlink()
        ):  # a name that is not UTF-8 leaves a lone label
            name = relative(path, root) if path.is_relative_to(root) else f"{path.parent.name}/{path.name}"
            problems.add(Problem("skipped file", name, reason, name))


def report_lone_labels(labels: Path, root: Path, problems: Problems) -> None:
    """Report the label files below the folder `labels` that have no image, with paths relative to `root`."""
    stems: dict[Path, frozenset[str]] = {}  # of the images in each folder
    for file in walk(labels, ".txt"):
        folders = {file.parent, _parallel(file, _IMAGES_OF).parent}
        for folder in folders - stems.keys():
            stems[folder] = _image_stems(folder)
        if any(file.stem in stems[folder] for folder in folders) or not _LINE.match(first_bytes(file)):
            continue
        where = relative(file, root) if file.is_relative_to(root) else str(file)
        problems.add(Problem("annotation for a missing image", where, "no image with this name", where))


def _image_stems(folder: Path) -> frozenset[str]:
    """The names of the images in a folder, without their suffixes; none if there is no such folder."""
    files = folder.iterdir() if folder.is_dir() else ()
    return frozenset(file.stem for file in files if file.suffix.lower() in IMAGE_SUFFIXES)


def label_file(image: Path) -> Path:
    """The label file of an image: in `labels` instead of the last `images` in its path, else beside the image.

    Its suffix may be in upper case; `images` as well, then `labels` is spelt so too.
    """
    beside, parallel = (_spelt(path) for path in (image, _parallel(image, _LABELS_OF)))
    return beside if beside.is_file() else parallel


def _parallel(path: Path, instead: Mapping[str, str]) -> Path:
    """The path with the last of its folders that is in `instead` replaced; the path itself if none is."""
    parts = list(path.parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] in instead:
            return Path(*parts[:index], instead[parts[index]], *parts[index + 1 :])
    return path


def _spelt(image: Path) -> Path:
    """The label file of an image in its folder, with the suffix as it is spelt there; `.txt` if there is none."""
    usual, upper = image.with_suffix(".txt"), image.with_suffix(".TXT")
    return upper if not usual.is_file() and upper.is_file() else usual


class YoloLabels:
    """Reads the label files of one source.

    folder: image names are relative to it. names: class names by number, as declared in `declared_in`.
    """

    def __init__(self, folder: Path, names: Mapping[int, str], declared_in: str, shape: LineShape) -> None:
        self._folder = folder
        self._names = names
        self._declared_in = declared_in
        self._shape = shape
        self._read: set[int] = set()  # hashes of the label files that were read

    def of(self, image: Path, problems: Problems) -> LabelledImage:
        """One image with its boxes."""
        labels = label_file(image)
        where = relative(labels, self._folder) if labels.is_relative_to(self._folder) else str(labels)
        own = image.is_relative_to(self._folder)
        name = relative(image, self._folder) if own else f"{image.parent.name}/{image.name}"
        boxes = tuple(self._boxes(labels, self._folder if own else labels.parent, where, name, problems))
        if boxes and hash(labels) in self._read:
            what = f"labels {name} and another image of its name with another suffix; rename one of them"
            problems.add(Problem("labels of two images", where, what, name))
        self._read.add(hash(labels))
        return LabelledImage(
            name=name,
            stored=Stored(image),
            boxes=boxes,
            labelled_in=where,
            fractions=True,
            rotated_by_default=True,
        )

    def _boxes(self, labels: Path, root: Path, where: str, image: str, problems: Problems) -> Iterator[Box]:
        if not labels.is_file():
            return
        try:
            if escapes(labels, root):
                raise UnsafePath(f"a link to outside {root}")
            lines = labels.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError, UnsafePath) as error:
            problems.add(Problem("unreadable labels", where, str(error), image))
            return
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words:
                continue
            try:
                kind = _class_number(words[0])
                edges = self._shape.edges([float(word) for word in words[1:]])
            except ValueError:
                what = f"expected `class cx cy width height`, got {line[:80]!r}"
                if len(words) == 6:  # as `yolo predict save_txt save_conf` writes it
                    what += "; is the last number the confidence of a prediction? Remove it to train on predictions"
                problems.add(Problem("unreadable labels", f"{where}:{number}", what, image))
                continue
            if kind not in self._names:
                what = f"class {kind} is not in {self._declared_in}; add its name there"
                problems.add(Problem("unknown label", f"{where}:{number}", what, image, fatal=True))
                continue
            yield Box(self._names[kind], *edges, line=number)


def _class_number(word: str) -> int:
    """A class number; some tools write 2 as 2.0."""
    number = float(word)
    if not number.is_integer():
        raise ValueError
    return int(number)


def write(folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]) -> None:
    """Write `images/<part>/`, `labels/<part>/`, `classes.txt` and a `data.yaml` for other tools."""
    broken = [name for name in classes if "\n" in name or name != name.strip()]
    if broken:
        raise UserError(f"class {broken[0]!r} cannot be a line of classes.txt; rename it")
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    for part, images in parts.items():
        (folder / "labels" / part).mkdir(parents=True)
        for image in images:
            name = write_image(folder / "images" / part, image)
            lines = [
                f"{label - 1} {(xmin + xmax) / 2:.6f} {(ymin + ymax) / 2:.6f} {xmax - xmin:.6f} {ymax - ymin:.6f}\n"
                for (ymin, xmin, ymax, xmax), label in zip(image.boxes.tolist(), image.labels, strict=True)
            ]
            (folder / "labels" / part / name).with_suffix(".txt").write_text("".join(lines))
    keys = {"train": "train", "validation": "val", "test": "test"}
    listed = {keys[part]: f"images/{part}" for part in parts} | {"names": dict(enumerate(classes))}
    text = yaml.safe_dump(listed, allow_unicode=True, sort_keys=False)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
