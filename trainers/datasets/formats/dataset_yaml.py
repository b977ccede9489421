"""Dataset YAML: a file with the paths of the train, validation and test parts, in any format, and maybe the classes.

    path: /data/city        # base of the paths below; default: the folder of this file
    train: train_images     # a path, a list of paths, or a .txt file that lists images
    val: s3://bucket/val
    test: test.json
    names: {0: vehicle, 1: pedestrian}

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
from trainers.datasets.files.paths import UnsafePath, read_text, safe_join
from trainers.datasets.files.walking import IMAGE_SUFFIXES, walk
from trainers.datasets.formats import coco, yolo
from trainers.datasets.formats.format import Format, Source
from trainers.datasets.labelled_image import LabelledImage
from trainers.datasets.problems import Problems, below
from trainers.datasets.records.checked_image import CheckedImage
from trainers.errors import UserError

NAME = "dataset_yaml"
TITLE = "dataset YAML"
TRAINABLE_IN_PLACE = False

_SURROGATE = re.compile(r"\\(u|U0000)[dD][89a-fA-F]")
_KEYS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class _Parts:
    """The contents of the YAML file: (part, path) pairs, and class names by number."""

    file: Path
    root: Path
    where: tuple[tuple[str, Path], ...]
    names: dict[int, str]


def _yaml_file(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix in (".yaml", ".yml") else None
    return next(
        (path / name for name in ("dataset.yaml", "data.yaml", "dataset.yml") if (path / name).is_file()),
        None,
    )


def recognises(path: Path) -> bool:
    """A YAML file with a train part, or a folder with such a `data.yaml` or `dataset.yaml`."""
    file = _yaml_file(path)
    return file is not None and any(
        line.startswith("train:") for line in file.read_text("utf-8", "replace").splitlines()
    )


def roots(path: Path) -> Sequence[Path]:
    """The YAML file and the files and folders of its parts."""
    parts = _parts(path)
    found: list[Path] = [path, parts.file]
    for _, where in parts.where:
        other = None if where.suffix == ".txt" or not where.exists() else _other_format(where)
        found += other.roots(where) if other else _yolo_roots(where)
    return found


def _yolo_roots(where: Path) -> Iterator[Path]:
    yield where
    labels = yolo.label_file(where / "_.jpg").parent
    if labels.is_dir() and labels != where:
        yield labels


def _parts(path: Path) -> _Parts:
    file = _yaml_file(path)
    assert file is not None
    try:
        text = file.read_text(encoding="utf-8")
        fields = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read as YAML: {' '.join(str(error).split())}") from None
    if _SURROGATE.search(text):
        raise UserError(f"{file}: unpaired UTF-16 surrogate; write the character itself")
    if not isinstance(fields, dict):
        raise UserError(f"{file}: not a dataset YAML; expected train: ..., val: ...")
    root = file.parent / str(fields.get("path") or ".")
    if not root.is_dir():
        root = file.parent  # Ultralytics resolves `path` in its own datasets folder
    where: list[tuple[str, Path]] = []
    for key, part in _KEYS.items():
        for each in _listed(fields.get(key)):
            where.append((part, _located(file, root, each)))
    if not any(part == "train" for part, _ in where):
        raise UserError(f"{file}: no train part; expected train: ...")
    return _Parts(file, root, tuple(where), _names(file, fields.get("names", fields.get("classes"))))


def _listed(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(each) for each in values if each]


def _located(file: Path, root: Path, named: str) -> Path:
    if named.startswith("s3://"):
        from trainers.datasets.s3 import fetching  # imported here: boto3 is slow to import and rarely needed

        return fetching.fetch(named, on_progress=lambda _: None)
    # Roboflow writes `../train/images` for a folder beside the YAML file
    for path in (root / named, root / named.removeprefix("../"), root / "images" / named):
        if path.exists():
            return path
    raise UserError(f"{file}: {root / named} does not exist")


def _names(file: Path, value: Any) -> dict[int, str]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if value is None:
        return {}
    if not isinstance(value, dict) or not value or not all(isinstance(key, int) for key in value):
        raise UserError(f"{file}: names: expected a list of class names, or class names by number")
    names = {number: str(name) for number, name in sorted(value.items())}
    if len(set(names.values())) < len(names) or not all(name.strip() for name in names.values()):
        raise UserError(f"{file}: names: every class needs a different name")
    return names


def _other_format(path: Path) -> Format | None:
    """The format of a part; None if it is neither another format than YOLO nor a nested dataset YAML."""
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
    notes = {note: None for _, source in sources for note in source.notes}
    return Source(
        images=_images(sources),
        classes=tuple(classes) or None,
        declared_in=parts.file.name if parts.names else "the classes of its parts",
        notes=tuple(notes),
    )


def _source(parts: _Parts, where: Path, problems: Problems) -> Source:
    other = None if where.suffix == ".txt" else _other_format(where)
    if other is None and not parts.names and where.is_dir():
        other = yolo
    if other:
        folder = _folder(parts, where)
        source = other.read(where, problems.within(folder))
        return replace(source, images=_named_from(folder, source.images))
    if where.suffix == ".txt":
        images: Iterator[Path] = _images_of_list(parts, where)
    elif where.is_dir():
        images = walk(where, *IMAGE_SUFFIXES)
    else:
        raise UserError(f"{parts.file}: {where} is not in a supported format")
    return Source(images=_yolo_images(parts, where, images, problems))


def _yolo_images(
    parts: _Parts, where: Path, images: Iterator[Path], problems: Problems
) -> Iterator[LabelledImage]:
    for image in images:
        yield yolo.labelled(image, parts.root, parts.names, parts.file.name, problems)
    if where.is_dir():
        for folder in _yolo_roots(where):
            yolo.report_lone_labels(folder, parts.root, problems)


def _images_of_list(parts: _Parts, file: Path) -> Iterator[Path]:
    for line in read_text(file).splitlines():
        if line.strip():
            try:
                yield safe_join(parts.root, line.strip().removeprefix("./"))
            except UnsafePath as error:
                raise UserError(f"{file}: {error}") from None


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
