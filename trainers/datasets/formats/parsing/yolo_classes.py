"""The class names of YOLO folders: a text file with one name on each line, or `names:` of a YAML file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from trainers.datasets.files.paths import read_text, relative
from trainers.datasets.files.walking import walk
from trainers.errors import UserError

_TEXT_FILES = ("classes.txt", "_darknet.labels")
YAML_SUFFIXES = (".yaml", ".yml")
_SURROGATE = re.compile(r"\\(u|U0000)[dD][89a-fA-F]")


def class_files(folder: Path) -> list[Path]:
    """The text files of class names in and below a folder: classes.txt, *.names, _darknet.labels."""
    found = walk(folder, ".txt", ".names", ".labels")
    return [file for file in found if file.name.lower() in _TEXT_FILES or file.suffix.lower() == ".names"]


def yaml_files(folder: Path, pattern: str = "*") -> list[Path]:
    """The YAML files in a folder, by name; with the pattern `*/*` those in its folders."""
    return sorted(
        file for file in folder.glob(pattern) if file.suffix.lower() in YAML_SUFFIXES and file.is_file()
    )


def class_names(folder: Path) -> tuple[dict[int, str], str]:
    """Class names by number, and the file that lists them, relative to `folder`.

    Raises UserError if there is none, if one cannot be used, or if two of them disagree.
    """
    best: tuple[list[str], Path] | None = None
    for file in class_files(folder):
        names = _listed(file)
        if best:
            longer, shorter = sorted((names, best[0]), key=len, reverse=True)
            if longer[: len(shorter)] != shorter:
                both = f"{relative(best[1], folder)} and {relative(file, folder)}"
                raise UserError(
                    f"{folder}: {both} list different YOLO classes; keep the one that the labels follow"
                )
        if best is None or len(names) > len(best[0]):
            best = names, file
    if best:
        return dict(enumerate(best[0])), relative(best[1], folder)
    for file in yaml_files(folder):
        if names_by_number := names_in_yaml(file, read_yaml(file)):
            return names_by_number, file.name
    if inner := _named_below(folder):
        raise UserError(
            f"{folder}: {relative(inner, folder)} lists the YOLO classes of its own folder; give {inner.parent} instead"
        )
    raise UserError(
        f"{folder}: YOLO labels without class names; add a classes.txt with one name on each line, for class 0, 1, ..."
    )


def _named_below(folder: Path) -> Path | None:
    """A YAML file with class names in a folder of this one, as in an archive that was unpacked into a folder."""
    for file in yaml_files(folder, "*/*"):
        try:
            if names_in_yaml(file, read_yaml(file)):
                return file
        except UserError:  # another program's, or broken; it is not what is read
            continue
    return None


def _listed(file: Path) -> list[str]:
    names = [line.strip() for line in read_text(file).rstrip().splitlines()]
    if not names or not all(names) or len(set(names)) < len(names):
        raise UserError(f"{file}: expected one class name on each line, without repetition or empty lines")
    return names


def read_yaml(file: Path) -> dict[str, Any]:
    """The fields of a dataset YAML. Raises UserError if it is not one."""
    text = read_text(file)
    try:
        fields = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{file}: cannot be read as YAML: {' '.join(str(error).split())}") from None
    if _SURROGATE.search(text):
        raise UserError(f"{file}: unpaired UTF-16 surrogate; write the character itself")
    if not isinstance(fields, dict):
        raise UserError(f"{file}: not a dataset YAML; expected train: ..., val: ...")
    return fields


def names_in_yaml(file: Path, fields: dict[str, Any]) -> dict[int, str]:
    """Class names by number under `names:`, sorted; empty if there are none. Raises UserError if they are unusable."""
    value = fields.get("names", fields.get("classes"))
    if isinstance(value, list):
        value = dict(enumerate(value))
    if value is None:
        return {}
    if not isinstance(value, dict) or not value or not all(isinstance(key, int) for key in value):
        raise UserError(f"{file}: names: expected a list of class names, or class names by number")
    for number, name in value.items():
        if name is None or isinstance(name, bool):  # YAML reads no, off and yes as truth values, ~ as nothing
            raise UserError(f"{file}: names: the name of class {number} is read as {name}; put it in quotes")
    names = {number: str(name) for number, name in sorted(value.items())}
    if len(set(names.values())) < len(names) or not all(name.strip() for name in names.values()):
        raise UserError(f"{file}: names: every class needs a different name")
    return names
