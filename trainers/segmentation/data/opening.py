"""Opens a folder of images and masks as a Dataset: checks it and converts it to TFRecord files, once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from trainers.datasets.cache import build_once
from trainers.datasets.dataset import Dataset
from trainers.datasets.files.walking import file_states
from trainers.datasets.opening import local_path, no_progress
from trainers.datasets.problems import Problems
from trainers.datasets.splits import subsetting
from trainers.datasets.toy_city import is_toy_city
from trainers.errors import UserError
from trainers.segmentation.data import colour_map, layout
from trainers.segmentation.data.checking import check_pair
from trainers.segmentation.data.colour_map import ColourMap
from trainers.segmentation.data.masked_image import MaskedImage
from trainers.segmentation.data.storing import store

CHECK = "python -m trainers.segmentation check"
_VERSION = 1  # of the conversion; results of other versions in the cache are ignored


def open_dataset(
    source: str | None, cache: Path, subset: float = 1.0, on_progress: Callable[[str], None] = no_progress
) -> Dataset:
    """The dataset of a folder of images and masks, of `s3://bucket/prefix`, or of the toy city (None).

    subset: share of the training images to keep, above 0 and at most 1, balanced by the rarest class shown.
    Raises UserError if the source is not such a folder, or is unusable.
    """
    if source is None or is_toy_city(source):
        from trainers.segmentation.data.toy_city import open_toy_city

        return subsetting.subset(open_toy_city(source, cache, on_progress), subset, cache)
    root = local_path(source, on_progress)
    colours = colours_of(root)

    def build(folder: Path) -> Dataset:
        on_progress(f"reading {source} as images and masks of {', '.join(colours.classes)}")
        problems = Problems(source, command=CHECK)
        return store(
            checked_images(root, colours, problems),
            colours.classes,
            root.resolve().name,
            source,
            folder,
            problems,
        )

    name = f"{root.resolve().name}-masks-{_state(root)}"
    return subsetting.subset(build_once(cache, name, build), subset, cache)


def colours_of(root: Path) -> ColourMap:
    """The colour map of the folder `root`: its masks.yaml or label_colors.txt, or that of a known dataset.

    Raises UserError if `root` is not a folder of images and masks, or its map is neither given nor known.
    """
    if not root.exists():
        raise UserError(f"{root}: no such folder")
    if not layout.recognises(root):
        raise UserError(
            f"{root}: no images with masks; put them into folders `images` and `masks`, with the same file names"
        )
    for name, read in ((colour_map.GIVEN, colour_map.read), (colour_map.CAMVID, colour_map.read_camvid)):
        if (root / name).is_file():
            return read(root / name)
    if layout.is_follow_me(root):
        return colour_map.FOLLOW_ME
    if layout.is_cityscapes(root):
        return colour_map.CITYSCAPES
    raise UserError(f"{root}: nothing says which colour is which class; add {colour_map.EXAMPLE}")


def checked_images(
    root: Path, colours: ColourMap, problems: Problems
) -> Iterator[tuple[str | None, MaskedImage]]:
    """The stated part and the image, for each usable image of the folder `root`."""
    for pair in layout.pairs(root, problems):
        if image := check_pair(pair, colours, root, problems):
            yield pair.part, image


def _state(root: Path) -> str:
    """12 hexadecimal digits that change when a file of the source changes, by names, sizes and times only."""
    state = hashlib.sha256(f"{_VERSION}".encode())
    for line in file_states(root):
        state.update(line.encode())
    return state.hexdigest()[:12]
