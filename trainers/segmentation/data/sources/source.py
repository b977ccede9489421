"""Source: a folder of images and masks, or COCO files with polygons, recognised, with its classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainers.datasets.problems import Problems
from trainers.errors import UserError
from trainers.segmentation.data.checking import check_pair
from trainers.segmentation.data.masked_image import MaskedImage
from trainers.segmentation.data.sources import coco_polygons, colour_map, layout
from trainers.segmentation.data.sources.colour_map import ColourMap
from trainers.segmentation.data.sources.colours_seen import ask_for_map

Images = Iterator[tuple[str | None, MaskedImage]]


@dataclass(frozen=True)
class Source:
    """classes: by index. images: yields the stated part and the image, for each usable image; adds what is wrong.

    notes: remarks for the user.
    """

    classes: tuple[str, ...]
    images: Callable[[Problems], Images]
    notes: tuple[str, ...] = ()


def recognised(root: Path) -> Source:
    """The source that `root` is.

    Raises UserError if it is none, or the colours of its masks are neither given nor known.
    """
    if not root.exists():
        raise UserError(f"{root}: no such folder")
    if layout.recognises(root):
        colours = _colours(root)
        return Source(colours.classes, lambda problems: _paired(root, colours, problems))
    if coco_polygons.files(root):
        masks = coco_polygons.CocoMasks(root)
        return Source(masks.classes, masks.images, masks.notes)
    raise UserError(
        f"{root}: no images with masks; put them into folders `images` and `masks`, with the same file names, "
        "or give COCO JSON with polygons"
    )


def _colours(root: Path) -> ColourMap:
    """Its masks.yaml or label_colors.txt, or that of a known dataset."""
    for name, read in ((colour_map.GIVEN, colour_map.read), (colour_map.CAMVID, colour_map.read_camvid)):
        if (root / name).is_file():
            return read(root / name)
    if layout.is_follow_me(root):
        return colour_map.FOLLOW_ME
    if layout.is_cityscapes(root):
        return colour_map.CITYSCAPES
    raise ask_for_map(root)


def _paired(root: Path, colours: ColourMap, problems: Problems) -> Images:
    for pair in layout.pairs(root, problems):
        if image := check_pair(pair, colours, root, problems):
            yield pair.part, image
