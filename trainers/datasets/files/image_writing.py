"""Writes images as files that every program shows as training sees them, with unique names that are valid everywhere."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from trainers.datasets.files.walking import IMAGE_SUFFIXES
from trainers.datasets.pictures.orientation import as_stored
from trainers.datasets.records.checked_image import CheckedImage

_UNSAFE = re.compile(r"[^\w.+~-]+")  # \w is any language's letters
_WRITTEN = (".jpg", ".png")


def write_image(folder: Path, image: CheckedImage) -> str:
    """Write an image into `folder` and return its file name.

    It states no EXIF rotation, since boxes are on the pixels as stored, and some formats are read as if they were not.
    No other image of the folder has its name without the suffix, since label files are called by that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = PurePosixPath(image.name)
    if name.suffix.lower() in IMAGE_SUFFIXES:
        name = name.with_suffix("")
    stem = _UNSAFE.sub("_", str(name).replace("/", "_")).lstrip("._")
    stem = stem.encode()[:150].decode(errors="ignore") or "image"
    suffix = ".png" if image.format == "png" else ".jpg"
    free, copies = stem, 1
    while any((folder / f"{free}{each}").exists() for each in _WRITTEN):
        copies += 1
        free = f"{stem}~{copies}"
    with (folder / f"{free}{suffix}").open("xb") as file:
        file.write(as_stored(image.image))
    return f"{free}{suffix}"
