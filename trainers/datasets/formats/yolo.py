"""YOLO: a text file for each image, with lines `class cx cy width height` in fractions; a file lists the class names.

Label files are beside their images, or in `labels/...` for images in `images/...`. An image without a label file has no
objects. A line with more than five numbers is a polygon, of which the bounding box is taken. Boxes refer to the image
after its EXIF rotation, as in the tools that train on this format. A `data.yaml` is read by dataset_yaml.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from trainers.datasets.files.image_writing import write_image
from trainers.datasets.files.parts import StatedParts
from trainers.datasets.files.paths import UnsafePath, escapes, first_bytes, read_text, relative
from trainers.datasets.files.walking import IMAGE_SUFFIXES, walk
from trainers.datasets.formats.format import Source
from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.errors import UserError

NAME = "yolo"
TITLE = "YOLO text files"
TRAINABLE_IN_PLACE = False

_LINE = re.compile(rb"\s*\d+(\s+[-+.\deE]+){4}")  # the start of a label file
_CLASS_FILES = ("classes.txt", "obj.names", "classes.names", "_darknet.labels")


def recognises(path: Path) -> bool:
    """A folder with a file of class names or a `labels` folder, and with a label file for at least one image."""
    if not path.is_dir():
        return False
    named = class_file(path) is not None or any(folder.name == "labels" for folder in path.glob("**/labels"))
    return named and any(label_file(image).is_file() for image in walk(path, *IMAGE_SUFFIXES))


def roots(path: Path) -> Sequence[Path]:
    """The folder."""
    return (path,)


def class_file(folder: Path) -> Path | None:
    """The file with the class names, one on each line, numbered from 0; None if there is none."""
    return next(
        (file for file in walk(folder, ".txt", ".names", ".labels") if file.name in _CLASS_FILES), None
    )


def read(path: Path, problems: Problems) -> Source:
    """Open the folder."""
    listed = class_file(path)
    if listed is None:
        raise UserError(
            f"{path}: no class names; add a classes.txt with one name on each line, for class 0, 1, ..."
        )
    names = [line.strip() for line in read_text(listed).splitlines() if line.strip()]
    if not names or len(set(names)) < len(names):
        raise UserError(f"{listed}: expected one class name on each line, without repetition")
    images = read_images(path, dict(enumerate(names)), relative(listed, path), problems)
    return Source(images=images, classes=tuple(names), declared_in=relative(listed, path))


def read_images(
    folder: Path, names: Mapping[int, str], declared_in: str, problems: Problems
) -> Iterator[LabelledImage]:
    """Every image below `folder` with its boxes. `names`: class names by number, as declared in `declared_in`."""
    parts = StatedParts(folder)
    for image in walk(folder, *IMAGE_SUFFIXES):
        found = labelled(image, folder, names, declared_in, problems)
        yield replace(found, part=parts.of_image(image))
    report_lone_labels(folder, folder, problems)


def report_lone_labels(labels: Path, root: Path, problems: Problems) -> None:
    """Report the label files below the folder `labels` that have no image, with paths relative to `root`."""
    for file in walk(labels, ".txt"):
        if not _has_image(file) and _LINE.match(first_bytes(file)):
            where = relative(file, root) if file.is_relative_to(root) else str(file)
            problems.add(Problem("annotation for a missing image", where, "no image with this name", where))


def _has_image(labels: Path) -> bool:
    beside = labels.with_suffix("")
    candidates = [beside]
    parts = list(beside.parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "labels":
            candidates.insert(0, Path(*parts[:index], "images", *parts[index + 1 :]))
            break
    suffixes = (*IMAGE_SUFFIXES, *(suffix.upper() for suffix in IMAGE_SUFFIXES))
    return any(Path(f"{place}{suffix}").exists() for place in candidates for suffix in suffixes)


def labelled(
    image: Path, folder: Path, names: Mapping[int, str], declared_in: str, problems: Problems
) -> LabelledImage:
    """One image with its boxes; names are relative to `folder`."""
    labels = label_file(image)
    where = relative(labels, folder) if labels.is_relative_to(folder) else str(labels)
    own = image.is_relative_to(folder)
    name = relative(image, folder) if own else f"{image.parent.name}/{image.name}"
    return LabelledImage(
        name=name,
        stored=Stored(image),
        boxes=tuple(
            _boxes(labels, folder if own else labels.parent, where, name, names, declared_in, problems)
        ),
        labelled_in=where,
        fractions=True,
        rotated_by_default=True,
    )


def label_file(image: Path) -> Path:
    """The label file of an image: in `labels` instead of the last `images` in its path, else beside the image."""
    beside = image.with_suffix(".txt")
    parts = list(image.parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parallel = Path(*parts[:index], "labels", *parts[index + 1 :]).with_suffix(".txt")
            return beside if beside.is_file() else parallel
    return beside


def _boxes(
    labels: Path,
    root: Path,
    where: str,
    image: str,
    names: Mapping[int, str],
    declared_in: str,
    problems: Problems,
) -> Iterator[Box]:
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
            kind = int(words[0])
            edges = _edges([float(word) for word in words[1:]])
        except ValueError:
            what = f"expected `class cx cy width height`, got {line[:80]!r}"
            problems.add(Problem("unreadable labels", f"{where}:{number}", what, image))
            continue
        if kind not in names:
            what = f"class {kind} is not in {declared_in}; add its name there"
            problems.add(Problem("unknown label", f"{where}:{number}", what, image, fatal=True))
            continue
        yield Box(names[kind], *edges, line=number)


def _edges(numbers: list[float]) -> tuple[float, float, float, float]:
    if len(numbers) == 4:
        x, y, width, height = numbers
        return y - height / 2, x - width / 2, y + height / 2, x + width / 2
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError
    across, down = numbers[0::2], numbers[1::2]
    return min(down), min(across), max(down), max(across)


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
