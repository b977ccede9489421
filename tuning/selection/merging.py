"""Joins labels that came back to the data set, which is written anew with its history; the old one is left as it is."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from trainers.datasets import formats
from trainers.datasets.formats.format import Reading
from trainers.datasets.formats.recognition import recognise
from trainers.datasets.labelled_image import LabelledImage
from trainers.datasets.opening import load, local_path, open_dataset
from trainers.datasets.problems import Problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.image_check import check_image
from trainers.datasets.records.reading import read_images
from trainers.errors import UserError
from trainers.files import replace_folder, write_text
from tuning.selection.annotating import PART
from tuning.selection.manifest import Asked, Manifest

HISTORY = "history.json"


@dataclass(frozen=True)
class Merged:
    """images: that came in. left: asked for, and not labelled. cycle: this selection's, from 1. fingerprint: the new."""

    images: int
    left: int
    cycle: int
    fingerprint: str


def merge(
    labels: Path,
    manifest: Manifest,
    data: str,
    out: Path,
    to: str = "coco",
    partial: bool = False,
    new_classes: bool = False,
) -> Merged:
    """Write the images of `data`, and in its training part the labelled ones of a selection, into the new folder `out`.

    labels: a folder or file in any format, its images included. partial: take labels of some of the images that were
    asked for. new_classes: take classes that `data` does not have.
    Raises UserError, and writes nothing, if images were never asked for, some are missing, or classes are new.
    """
    if out.exists():
        raise UserError(f"{out} already exists; choose a new folder")
    came = _returned(labels, manifest)
    with tempfile.TemporaryDirectory(prefix="merge-") as scratch:
        before = open_dataset(data, Path(scratch))
        names = dict.fromkeys(box.name for image, _ in came for box in image.boxes)
        unknown = [name for name in names if name not in before.classes]
        if unknown and not new_classes:
            known = ", ".join(before.classes)
            raise UserError(
                f"{labels}: class '{unknown[0]}' is not one of the data's ({known}); rename it, or take it with "
                "--new-classes"
            )
        left = len(manifest.images) - len({asked.file for _, asked in came})
        if left and not partial:
            raise UserError(
                f"{labels}: {left} of the {len(manifest.images)} images that were asked for have no labels; "
                "--partial takes the others"
            )
        classes = (*before.classes, *unknown)
        ids = {name: number for number, name in enumerate(classes, 1)}
        history = _history(data)
        cycle = 1 + max((int(each["cycle"]) for each in history), default=0)
        known_images: set[bytes] = set()
        checked = [_checked(image, asked, ids) for image, asked in came]

        def old(part: str) -> Iterator[CheckedImage]:
            for image in read_images(before.parts[part].files):
                known_images.add(image.image_sha256)
                yield image

        with replace_folder(out) as folder:
            parts = {name: old(name) for name in before.parts if name != PART}
            parts = {PART: chain(old(PART), iter(checked)), **parts}
            formats.named(to).write(folder, classes, parts)
            if twice := next((each for each in checked if each.image_sha256 in known_images), None):
                raise UserError(f"{labels}: {twice.name} is in {data} already; its labels were merged before")
            rows = [
                {
                    "image": asked.file, "sha256": each.image_sha256.hex(), "cycle": cycle,
                    "strategy": manifest.strategy, "score": asked.score, "export_id": manifest.export_id,
                }
                for each, (_, asked) in zip(checked, came, strict=True)
            ]  # fmt: skip
            text = {"format": 1, "joined": [*history, *rows], "before": before.fingerprint}
            write_text(folder / HISTORY, json.dumps(text, indent=1, ensure_ascii=False) + "\n")
            fingerprint = load(folder, cache=Path(scratch) / "again").fingerprint
    return Merged(len(checked), left, cycle, fingerprint)


def _returned(labels: Path, manifest: Manifest) -> list[tuple[LabelledImage, Asked]]:
    """The labelled images, each with what was asked: by its content, else by its file name."""
    problems = Problems(str(labels))
    found = recognise(labels, Reading().format)
    by_content = {digest: each for each in manifest.images for digest in (each.sha256, each.picture)}
    by_name = {each.file.lower(): each for each in manifest.images}
    came: list[tuple[LabelledImage, Asked]] = []
    seen: set[str] = set()
    for image in found.format.read(labels, problems).images:
        digest = hashlib.sha256(image.stored.read()).hexdigest()
        asked = by_content.get(digest) or by_name.get(PurePosixPath(image.name).stem.lower())
        if asked is None:
            raise UserError(
                f"{labels}: {image.name} was never asked for; remove it, or give its own --manifest"
            )
        if asked.file in seen:
            raise UserError(f"{labels}: {image.name} is there twice; remove one of them")
        seen.add(asked.file)
        came.append((image, asked))
    if problems.counts:
        raise UserError(f"{labels}: {problems.summary()[0]}")
    if not came:
        raise UserError(f"{labels}: no labelled images in it")
    return came


def _checked(image: LabelledImage, asked: Asked, ids: dict[str, int]) -> CheckedImage:
    result = check_image(image, image.stored.read(), ids)
    lost = [problem for problem in result.problems if not problem.harmless]
    if result.image is None or lost:
        raise UserError(str(lost[0] if lost else result.problems[0]))
    return replace(result.image, name=f"{asked.file}{PurePosixPath(image.name).suffix}")


def _history(data: str) -> list[dict[str, Any]]:
    """What earlier merges wrote about the data, which may be in S3 or named by its file."""
    path = local_path(data)
    file = (path.parent if path.is_file() else path) / HISTORY
    if not file.is_file():
        return []
    try:
        joined: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["joined"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file}: cannot be read ({' '.join(str(error).split())[:120]})") from None
    return joined
