"""Writes images as files, with unique names that are valid on every system."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from trainers.datasets.records.checked_image import CheckedImage

_UNSAFE = re.compile(r"[^\w.+~-]+")  # \w is any language's letters


def write_image(folder: Path, image: CheckedImage) -> str:
    """Write an image into `folder` and return its file name."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = _UNSAFE.sub("_", str(PurePosixPath(image.name).with_suffix("")).replace("/", "_")).lstrip("._")
    stem = stem.encode()[:150].decode(errors="ignore") or "image"
    suffix = ".png" if image.format == "png" else ".jpg"
    copies = 1
    name = f"{stem}{suffix}"
    while True:
        try:
            with (folder / name).open("xb") as file:
                file.write(image.image)
        except FileExistsError:
            copies += 1
            name = f"{stem}~{copies}{suffix}"
        else:
            return name
