"""Writes picked images with the detector's boxes, in the formats of labelling tools, a manifest and a page."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from trainers.datasets import formats
from trainers.datasets.records.checked_image import CheckedImage
from trainers.errors import UserError
from trainers.files import replace_folder
from tuning.selection import page
from tuning.selection.manifest import Asked, Manifest
from tuning.selection.picking import Picked
from tuning.selection.scored import Scored
from tuning.selection.scoring import picture_of
from tuning.selection.strategy import Strategy

FORMATS = ("coco", "pascal_voc", "yolo", "cvat", "label_studio")
PART = "train"  # where labels come back to
_UNSAFE = re.compile(r"[^\w.+~-]+")


def write(
    out: Path,
    pool: Path,
    images: Sequence[tuple[Picked, Scored]],
    classes: tuple[str, ...],
    to: Sequence[str],
    strategy: Strategy,
    export_id: str,
    seed: int,
    threshold: float,
) -> Manifest:
    """Write the folder `out`, whole or not at all: a folder for each format, the manifest and index.html.

    images: in the order in which they were picked. to: names of formats. export_id: of the detector. seed: of the
    selection. threshold: the score from which a detection is written as a box.
    Raises UserError if `out` exists, or an image can no longer be read.
    """
    if out.exists():
        raise UserError(f"{out} already exists; choose a new folder")
    writers = [formats.named(name) for name in to]
    files = _file_names([scored.name for _, scored in images])
    digests: dict[str, str] = {}

    def checked() -> Iterator[CheckedImage]:
        for (_, scored), file in zip(images, files, strict=True):
            made = _checked(pool, scored, file, threshold)
            digests[file] = made.image_sha256.hex()
            yield made

    with replace_folder(out) as folder:
        for writer in writers:
            (folder / writer.NAME).mkdir()
            writer.write(folder / writer.NAME, classes, {PART: checked()})
        asked = tuple(
            Asked(
                file, scored.name, scored.sha256, digests[file], picked.score, rank, picked.skipped,
                len(scored.found.above(threshold).boxes),
            )
            for rank, ((picked, scored), file) in enumerate(zip(images, files, strict=True), 1)
        )  # fmt: skip
        manifest = Manifest(str(pool.absolute()), export_id, classes, strategy.name, seed, threshold, asked)
        manifest.write(folder)
        page.write(folder / "index.html", pool, images, classes, strategy, threshold)
    return manifest


def _file_names(names: Sequence[str]) -> list[str]:
    """A unique file name for each image, which no writer has to change."""
    taken: set[str] = set()
    found = []
    for name in names:
        stem = (
            _UNSAFE.sub("_", str(PurePosixPath(name).with_suffix("")).replace("/", "_")).lstrip("._")
            or "image"
        )
        stem = stem.encode()[:140].decode(errors="ignore")
        free, copies = stem, 1
        while free.lower() in taken:
            copies += 1
            free = f"{stem}_{copies}"
        taken.add(free.lower())
        found.append(free)
    return found


def _checked(pool: Path, scored: Scored, file: str, threshold: float) -> CheckedImage:
    data = (pool / scored.name).read_bytes()
    if hashlib.sha256(data).hexdigest() != scored.sha256:
        raise UserError(f"{pool / scored.name}: has changed since it was scored; run the command again")
    picture = picture_of(data)
    found = scored.found.above(threshold)
    boxes = found.boxes.clip(0, 1)
    whole = ((boxes[:, 2:] - boxes[:, :2]) * [picture.height, picture.width] >= 1).all(axis=1)
    count = int(whole.sum())
    return CheckedImage(
        name=f"{file}.{'png' if picture.format == 'png' else 'jpg'}",
        image=picture.data,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        boxes=boxes[whole].astype(np.float32),
        labels=tuple((found.classes[whole] + 1).tolist()),
        difficult=(False,) * count,
        crowd=(False,) * count,
    )
