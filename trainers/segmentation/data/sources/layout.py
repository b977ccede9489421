"""Layout: finds the mask of each image in a folder, the part that it belongs to, and its set of a scored evaluation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainers.datasets.files.parts import StatedParts
from trainers.datasets.files.paths import relative
from trainers.datasets.files.walking import IMAGE_SUFFIXES, walk
from trainers.datasets.problems import Problem, Problems

SCORED = "evaluation"  # its subfolders are the sets of a scored evaluation
_IMAGE_FOLDERS = ("images", "image", "img", "imgs", "jpegimages", "leftimg8bit")
_MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "segmentationclass", "gtfine", "gt")
_MASK_ENDINGS = (
    "annot",
    "_annot",
    "_labels",
    "_label",
    "_masks",
    "_mask",
    "_gt",
)  # CamVid: train, trainannot
# in what the names of an image and its mask differ: run1cam1 and mask in Follow Me, Cityscapes' endings, CamVid's _L
_MARKS = re.compile(
    r"(_?(run\d+)?_?(cam\d+|mask|label)|_leftImg8bit|_gtFine_labelIds|_L)(?=_|$)", re.IGNORECASE
)
_NO_MASK = ("_gtFine_color", "_gtFine_instanceIds", "_gtFine_labelTrainIds", "_gtFine_polygons")


@dataclass(frozen=True)
class Pair:
    """An image and its mask.

    name: path of the image relative to the source. part: "train", "validation" or "test"; None if not stated.
    scored: the set of a scored evaluation that it is in; "" for none.
    """

    name: str
    image: Path
    mask: Path
    part: str | None
    scored: str = ""


def recognises(root: Path) -> bool:
    """Whether `root` is a folder with images in one folder and masks in another that goes with it."""
    return root.is_dir() and next(_folders(root), None) is not None


def is_follow_me(root: Path) -> bool:
    """Whether `root` has the evaluation sets of the Follow Me project."""
    sets = ("following", "patrol_with_target", "patrol_without_target")
    return all((root / SCORED / name).is_dir() for name in sets)


def is_cityscapes(root: Path) -> bool:
    """Whether `root` has Cityscapes' two folders."""
    return (root / "gtFine").is_dir()


def pairs(root: Path, problems: Problems) -> Iterator[Pair]:
    """Every image of `root` with its mask; images without one, and masks without an image, are problems."""
    parts = StatedParts(root)
    for images, masks in _folders(root):
        by_key: dict[str, list[Path]] = {}
        for mask in walk(masks, *IMAGE_SUFFIXES):
            if not mask.stem.endswith(_NO_MASK):
                by_key.setdefault(_key(mask, masks), []).append(mask)
        used: set[Path] = set()
        for image in walk(images, *IMAGE_SUFFIXES):
            name = relative(image, root)
            found = by_key.get(_key(image, images), [])
            exact = [mask for mask in found if mask.stem == image.stem] or found
            if len(exact) == 1:
                used.add(exact[0])
                scored = _scored(image, root)
                part = "validation" if scored else parts.of_image(image)
                yield Pair(name, image, exact[0], part, scored)
            elif exact:
                what = f"{exact[0].name} and {exact[1].name} both fit; rename one of them"
                problems.add(Problem("two masks for an image", name, what, name))
            else:
                what = f"none of that name in {relative(masks, root)}"
                problems.add(Problem("image without a mask", name, what, name))
        for mask in (each for found in by_key.values() for each in found if each not in used):
            where = relative(mask, root)
            problems.add(Problem("mask without an image", where, f"none of that name in {images.name}"))


def _scored(image: Path, root: Path) -> str:
    places = image.relative_to(root).parts
    return places[places.index(SCORED) + 1] if SCORED in places[:-2] else ""


def _key(path: Path, folder: Path) -> str:
    parent = path.parent.relative_to(folder).as_posix()
    return f"{parent}/{_MARKS.sub('', path.stem, count=1)}"


def _folders(root: Path) -> Iterator[tuple[Path, Path]]:
    """Each folder of images and its folder of masks."""
    below = [folder for folder in (root, *sorted(root.glob("**/"))) if folder.is_dir()]
    for folder in dict.fromkeys(below):
        if folder == root or folder.name.startswith("."):
            continue
        beside = {each.name.lower(): each for each in folder.parent.iterdir() if each.is_dir()}
        own = folder.name.lower()
        names = (
            _MASK_FOLDERS if own in _IMAGE_FOLDERS else tuple(f"{own}{ending}" for ending in _MASK_ENDINGS)
        )
        masks = next((beside[name] for name in names if name in beside), None)
        if masks and next(iter(walk(masks, *IMAGE_SUFFIXES)), None):  # annotations/ may hold labels of boxes
            yield folder, masks
