"""Recognises the format of a source, the others that are in it, and what is in none of the supported formats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from trainers.datasets import formats
from trainers.datasets.files.paths import first_bytes, relative
from trainers.datasets.files.walking import skipped_files, suffixes_below, walk
from trainers.datasets.formats.format import Format
from trainers.errors import UserError

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
_LOOKED_AT = 20  # files of each suffix
# labels of other tools, by a pattern in their first bytes
_OTHERS = (
    (".json", "LabelMe JSON", re.compile(rb'"shapes"\s*:\s*\[')),
    (".json", "VGG Image Annotator JSON", re.compile(rb'"_via_|"regions"\s*:')),
    (".json", "CreateML JSON", re.compile(rb'"coordinates"\s*:\s*\{')),
    (".json", "Datumaro JSON", re.compile(rb'"dm_format_version"')),
    (".json", "Supervisely JSON", re.compile(rb'"classTitle"')),
    (".csv", "CSV", re.compile(rb"xmin|x_min|bbox", re.IGNORECASE)),
    (".txt", "KITTI text", re.compile(rb"\s*[A-Za-z_]+ [-\d.]+ -?\d( -?[\d.]+){12}\s")),
)


@dataclass(frozen=True)
class Recognised:
    """format: the one to read. others: further formats in the source. named: whether the user chose `format`."""

    format: Format
    others: tuple[Format, ...] = ()
    named: bool = False

    def note(self) -> str | None:
        """A remark on the formats that are not read; None if there are none."""
        if not self.others:
            return None
        which = "as asked" if self.named else "the first of the formats found"
        also = " and ".join(each.TITLE for each in self.others)
        return f"read as {self.format.TITLE}, {which}; {also} is not read{self.hint()}"

    def hint(self) -> str:
        """How to read another format, to end a message."""
        return "".join(f"; --format {each.NAME} reads {each.TITLE}" for each in self.others)


def recognise(path: Path, name: str | None = None) -> Recognised:
    """Recognise the format of the file or folder `path`; `name` is the NAME of the one to take, if there are several.

    Raises UserError if it is missing, unreadable or of no known format, or not of the one that is named.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    try:
        found = [known for known in _candidates(path) if known.recognises(path)]
        if name is not None:
            wanted = formats.named(name)
            if wanted not in found:
                there = ", ".join(known.TITLE for known in found) or "none of the supported formats"
                raise UserError(f"{path}: no {wanted.TITLE} in it; found: {there}")
            return Recognised(wanted, tuple(known for known in found if known is not wanted), named=True)
        if not found:
            raise UserError(f"{path}: {_what_it_is(path)}")
    except PermissionError as error:
        raise UserError(f"{error.filename}: permission denied") from None
    # a dataset YAML names what is read, and Waymo's segments are TFRecord files
    alone = found[0].NAME in ("dataset_yaml", "waymo")
    return Recognised(found[0], () if alone else tuple(found[1:]))


def _candidates(path: Path) -> Iterator[Format]:
    """The formats that may be in a source, by the suffixes of its files; the others are not even imported."""
    there = suffixes_below(path) if path.is_dir() else {path.suffix.lower()}
    for name in formats.MODULES:
        if formats.SUFFIXES.get(name) in (None, *there):
            yield formats.by_module(name)


def _what_it_is(path: Path) -> str:
    supported = f"supported are {', '.join(known.TITLE for known in formats.all_formats())}"
    if path.is_file() and path.name.lower().endswith(_ARCHIVES):
        return "an archive; unpack it, and name the folder"
    if path.is_dir() and next(path.iterdir(), None) is None:
        return f"the folder is empty; {supported}"
    for suffix, title, pattern in _OTHERS:
        files = [path] if path.is_file() else list(islice(walk(path, suffix), _LOOKED_AT))
        if file := next(
            (f for f in files if f.suffix.lower() == suffix and pattern.search(first_bytes(f))), None
        ):
            return f"{file.name} looks like {title}, which is not supported; export as one of the supported: {supported}"
    if path.is_dir() and (archive := next(walk(path, *_ARCHIVES), None)):
        return f"no labelled images, but an archive, {archive.name}; unpack it; {supported}"
    left_out, why = next(skipped_files(path), (None, "")) if path.is_dir() else (None, "")
    if left_out:
        return f"no labelled images; {relative(left_out, path)} is left out: {why}"
    return f"no labelled images in a supported format; {supported}"
