"""Writes the images of records as files, under names that are safe on every system and taken once."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from trainers.datasets.records.checked_image import Record

_UNSAFE = re.compile(r"[^\w.+~-]+")  # \w is any language's letters


def write_image(folder: Path, record: Record) -> str:
    """Write a record's image into `folder`; returns its file name there."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = _UNSAFE.sub("_", str(PurePosixPath(record.name).with_suffix("")).replace("/", "_")).lstrip("._")
    stem = stem.encode()[:150].decode(errors="ignore") or "image"
    suffix = ".png" if record.format == "png" else ".jpg"
    copies = 1
    name = f"{stem}{suffix}"
    while True:
        try:
            with (folder / name).open("xb") as file:
                file.write(record.image)
        except FileExistsError:
            copies += 1
            name = f"{stem}~{copies}{suffix}"
        else:
            return name
