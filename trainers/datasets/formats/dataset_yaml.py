"""Dataset YAML: a file with the paths of the train, validation and test parts, in any format, and maybe the classes.

    path: /data/city        # base of the paths below; default: the folder of this file
    train: train_images     # a path, a list of paths, or a .txt file that lists images
    val: s3://bucket/val
    test: test.json
    names: {0: vehicle, 1: pedestrian}
    group_by: (.*)_frame    # images that stay together if there is no val part
    format: coco            # if the parts hold several formats

Ultralytics' `data.yaml` is such a file: a folder of images without labels in another format is read as YOLO.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from trainers.datasets import formats
from trainers.datasets.files.paths import is_file_inside, names_below, read_text
from trainers.datasets.files.walking import IMAGE_SUFFIXES, walk
from trainers.datasets.formats import coco, yolo
from trainers.datasets.formats.format import Format, Source
from trainers.datasets.formats.parsing.yolo_classes import YAML_SUFFIXES, names_in_yaml, read_yaml, yaml_files
from trainers.datasets.formats.parsing.yolo_lines import LineShape, line_shape, stated_shape
from trainers.datasets.labelled_image import LabelledImage
from trainers.datasets.problems import Problems, below
from trainers.datasets.records.checked_image import CheckedImage
from trainers.errors import UserError

NAME = "dataset_yaml"
TITLE = "dataset YAML"
TRAINABLE_IN_PLACE = False
STATES = coco.STATES

_TRAIN = re.compile(r"^[\"']?train[\"']?\s*:", re.MULTILINE)
_KEYS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class _Parts:
    """The contents of the YAML file: (part, path) pairs, class names by number, the shape of YOLO's lines, remarks."""

    file: Path
    root: Path
    where: tuple[tuple[str, Path], ...]
    names: dict[int, str]
    shape: LineShape | None
    notes: tuple[str, ...]
    group_by: re.Pattern[str] | None
    format: str | None


def _yaml_file(path: Path) -> Path | None:
    """The file itself; in a folder a `dataset.yaml`, a `data.yaml`, or another YAML file with a train part."""
    if path.is_file():
        return path if path.suffix.lower() in YAML_SUFFIXES and _has_parts(path) else None
    found = [file for file in yaml_files(path) if _has_parts(file)]
    return min(
        found,
        key=lambda file: (file.stem.lower() not in ("dataset", "data"), file.stem.lower() != "dataset", file),
        default=None,
    )


def _has_parts(file: Path) -> bool:
    try:
        return _TRAIN.search(read_text(file)) is not None
    except UserError:
        return _TRAIN.search(file.read_bytes().decode("utf-8", "replace")) is not None


def recognises(path: Path) -> bool:
    """A YAML file with a train part, or a folder with one."""
    return _yaml_file(path) is not None


def roots(path: Path) -> Sequence[Path]:
    """The YAML file and the files and folders of its parts."""
    parts = _parts(path)
    found: list[Path] = [path, parts.file]
    for _, where in parts.where:
        if where.suffix == ".txt":
            listed = {image.parent for image in _images_of_list(parts, where)}
            found += [
                where,
                *sorted(root for folder in listed if folder.is_dir() for root in _yolo_roots(folder)),
            ]
        else:
            other = _other_format(where, parts.format)
            found += other.roots(where) if other else _yolo_roots(where)
    return tuple(dict.fromkeys(found))


def _yolo_roots(where: Path) -> Iterator[Path]:
    yield where
    labels = yolo.label_file(where / "_.jpg").parent
    if labels.is_dir() and labels != where:
        yield labels


def _parts(path: Path) -> _Parts:
    file = _yaml_file(path)
    assert file is not None
    fields = read_yaml(file)
    root = file.parent / str(fields.get("path") or ".")
    if not root.is_dir():
        root = file.parent  # Ultralytics resolves `path` in its own datasets folder
    where: list[tuple[str, Path]] = []
    seen: dict[Path, str] = {}  # the part of each path
    notes = []
    for key, part in _KEYS.items():
        for each in _listed(fields.get(key)):
            found = _located(root, each)
            if found and (first := seen.setdefault(found.resolve(), part)) != part:
                notes.append(f"{file.name}: {key}: {each} is the {first} part; it is not used twice")
            elif found:
                where.append((part, found))
            elif part == "test":  # Roboflow names one even if it exports none
                notes.append(f"{file.name}: test: {each} does not exist; there is no test part")
            else:
                raise UserError(f"{file}: {key}: {root / each} does not exist")
    if not any(part == "train" for part, _ in where):
        raise UserError(f"{file}: no train part; expected train: ...")
    shape = stated_shape(fields["kpt_shape"], file) if "kpt_shape" in fields else None
    return _Parts(
        file,
        root,
        tuple(where),
        names_in_yaml(file, fields),
        shape,
        tuple(notes),
        _pattern(file, fields),
        _format(file, fields),
    )


def _pattern(file: Path, fields: dict[str, Any]) -> re.Pattern[str] | None:
    if fields.get("group_by") is None:
        return None
    try:
        return re.compile(str(fields["group_by"]))
    except re.error as error:
        raise UserError(f"{file}: group_by: not a regular expression: {error}") from None


def _format(file: Path, fields: dict[str, Any]) -> str | None:
    name = fields.get("format")
    if name is not None and name not in (each.NAME for each in formats.all_formats() if each.NAME != NAME):
        raise UserError(f"{file}: format: unknown format '{name}'")
    return name


def _listed(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(each) for each in values if each]


def _located(root: Path, named: str) -> Path | None:
    if named.startswith("s3://"):
        from trainers.datasets.s3 import fetching  # imported here: boto3 is slow to import and rarely needed

        return fetching.fetch(named, on_progress=lambda _: None)
    # Roboflow writes `../train/images` for a folder beside the YAML file; other paths are of another machine
    tried = (named, f"images/{named}", *names_below(named))
    return next((path for each in tried if (path := root / each.replace("\\", "/")).exists()), None)


def _other_format(path: Path, name: str | None) -> Format | None:
    """The format of a part, `name` if it is stated; None if it is YOLO or none."""
    if name is not None:
        return None if name == yolo.NAME else formats.named(name)
    known = [
        each for each in formats.all_formats() if each.NAME not in (NAME, yolo.NAME) and each.recognises(path)
    ]
    return known[0] if known else None


def read(path: Path, problems: Problems) -> Source:
    """Open all parts. Raises UserError if one of them is unusable."""
    parts = _parts(path)
    sources = [(part, _source(parts, where, problems)) for part, where in parts.where]
    classes: dict[str, None] = dict.fromkeys(parts.names.values())
    if not classes and all(source.classes is not None for _, source in sources):
        classes = {name: None for _, source in sources for name in source.classes or ()}
    notes = dict.fromkeys((*parts.notes, *(note for _, source in sources for note in source.notes)))
    return Source(
        images=_images(sources),
        classes=tuple(classes) or None,
        declared_in=parts.file.name if parts.names else "the classes of its parts",
        notes=tuple(notes),
        remapped=True,
        group_by=parts.group_by,
    )


def _source(parts: _Parts, where: Path, problems: Problems) -> Source:
    other = None if where.suffix == ".txt" else _other_format(where, parts.format)
    if other is None and not parts.names and where.is_dir():
        other = yolo
    if other:
        folder = _folder(parts, where)
        source = other.read(where, problems.within(folder))
        return replace(source, images=_named_from(folder, source.images))
    if where.suffix != ".txt" and not where.is_dir():
        raise UserError(f"{parts.file}: {where} is not in a supported format")
    shape = parts.shape or line_shape(map(yolo.label_file, _yolo_files(parts, where)), parts.file)
    labels = yolo.YoloLabels(parts.root, parts.names, parts.file.name, shape)
    note = shape.note()
    return Source(images=_yolo_images(parts, where, labels, problems), notes=(note,) if note else ())


def _yolo_files(parts: _Parts, where: Path) -> Iterator[Path]:
    return _images_of_list(parts, where) if where.suffix == ".txt" else walk(where, *IMAGE_SUFFIXES)


def _yolo_images(
    parts: _Parts, where: Path, labels: yolo.YoloLabels, problems: Problems
) -> Iterator[LabelledImage]:
    for image in _yolo_files(parts, where):
        yield labels.of(image, problems)
    if where.is_dir():
        yolo.report_skipped_images(where, parts.root, problems)
        for folder in _yolo_roots(where):
            yolo.report_lone_labels(folder, parts.root, problems)


def _images_of_list(parts: _Parts, file: Path) -> Iterator[Path]:
    """The images of a list, whose paths are relative to the root or to the list, or were so on another machine."""
    for line in read_text(file).splitlines():
        names = names_below(line.strip())
        if names:
            paths = (folder / name for name in names for folder in dict.fromkeys((parts.root, file.parent)))
            yield next(
                (path for path in paths if is_file_inside(str(path), parts.root)), parts.root / names[0]
            )


def _folder(parts: _Parts, where: Path) -> str:
    """The folder of a part, relative to the root of the parts; "" if it is the root."""
    folder = where if where.is_dir() else where.parent
    name = folder.relative_to(parts.root).as_posix() if folder.is_relative_to(parts.root) else folder.name
    return "" if name == "." else name


def _named_from(folder: str, images: Iterator[LabelledImage]) -> Iterator[LabelledImage]:
    for image in images:
        yield replace(
            image,
            name=below(folder, image.name),
            labelled_in=below(folder, image.labelled_in),
            sequence=image.sequence and f"{folder} {image.sequence}",
        )


def _images(sources: Sequence[tuple[str, Source]]) -> Iterator[LabelledImage]:
    for part, source in sources:
        for image in source.images:
            yield replace(image, part=part)


def write(folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]) -> None:
    """Write a `dataset.yaml`, and for each part a folder of COCO JSON."""
    keys = {"train": "train", "validation": "val", "test": "test"}
    for part, images in parts.items():
        (folder / part).mkdir()
        coco.write(folder / part, classes, {part: images})
    fields = {keys[part]: part for part in parts} | {"names": dict(enumerate(classes))}
    text = yaml.safe_dump(fields, allow_unicode=True, sort_keys=False)
    (folder / "dataset.yaml").write_text(text, encoding="utf-8")
