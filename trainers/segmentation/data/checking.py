"""Checks one image and its mask: makes the MaskedImage that training reads, or reports why it cannot."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from trainers.datasets.files.paths import relative
from trainers.datasets.pictures.picture import BadPicture, Picture, read_picture
from trainers.datasets.problems import Problem, Problems
from trainers.segmentation.data.masked_image import MaskedImage
from trainers.segmentation.data.sources.colour_map import IGNORE, ColourMap
from trainers.segmentation.data.sources.layout import Pair

_LOSSY = ("JPEG", "MPO", "WEBP", "GIF")  # their values are not those that were drawn
_SHOWN = 3  # unknown values that a message lists


class BadMask(Exception):
    """The file is no mask; the message says why."""


def check_pair(pair: Pair, colours: ColourMap, root: Path, problems: Problems) -> MaskedImage | None:
    """The checked image, or None if it is left out. Adds what is wrong to `problems`."""
    where = relative(pair.mask, root)
    picture = read_image(pair.image, pair.name, problems)
    if picture is None:
        return None
    try:
        values = read_mask(pair.mask.read_bytes(), colours.coloured)
    except BadMask as error:
        problems.add(Problem("unusable mask", where, str(error), pair.name, fatal=True))
        return None
    except UnidentifiedImageError:  # whose message names an object in memory
        problems.add(Problem("unreadable mask", where, "not an image", pair.name))
        return None
    except OSError as error:
        problems.add(Problem("unreadable mask", where, str(error), pair.name))
        return None
    if values.shape[:2] != (picture.height, picture.width):
        what = f"{values.shape[1]}x{values.shape[0]} px, but {pair.name} has {picture.width}x{picture.height}"
        problems.add(Problem("mask of another size", where, what, pair.name))
        return None
    mask, unknown = colours.indices(values)
    if unknown:
        shown = ", ".join(
            f"{each.pixels} pixels of {colours.says(each.code)}, first at x {each.x}, y {each.y}"
            for each in unknown[:_SHOWN]
        )
        more = f" and {len(unknown) - _SHOWN} other values" if len(unknown) > _SHOWN else ""
        what = f"{shown}{more}; not in {colours.where}, which has {len(colours.classes)} classes"
        problems.add(Problem("value outside the map", where, what, pair.name, fatal=True))
        return None
    if (mask == IGNORE).all():
        problems.add(Problem("empty mask", where, "no pixel has a class", pair.name))
        return None
    return MaskedImage(pair.name, picture.data, picture.format, mask, pair.scored)


def read_image(
    path: Path, name: str, problems: Problems, size: tuple[int, int] | None = None, labelled_in: str = ""
) -> Picture | None:
    """The picture in a file; None if it cannot be used, which is added to `problems`.

    size: (width, height) as stated in the file `labelled_in`; decides whether EXIF rotation is applied, as in detection.
    """
    try:
        picture = read_picture(path.read_bytes(), size, rotated_by_default=False)
    except (BadPicture, OSError) as error:
        problems.add(Problem("unreadable image", name, str(error), name))
        return None
    if size and size != (picture.width, picture.height):
        stated = f"labels state {size[0]}x{size[1]} px, the image has {picture.width}x{picture.height}"
        problems.add(Problem("image size mismatch", labelled_in, stated, name))
        return None
    return picture


def read_mask(data: bytes, coloured: bool) -> np.ndarray:
    """The values of an encoded mask: (H, W, 3) uint8 RGB if `coloured`, else (H, W) int of a grey or palette image.

    Raises BadMask for a lossy format or a colour image where values are expected, OSError if it cannot be read.
    """
    with Image.open(io.BytesIO(data)) as image:
        if image.format in _LOSSY:
            raise BadMask(
                f"a {image.format} file, which is lossy: its colours are not exact; save masks as PNG"
            )
        if coloured:
            return np.asarray(image.convert("RGB"))
        if image.mode not in ("L", "P", "1", "I;16", "I"):
            raise BadMask(f"an image of mode {image.mode}, but the map has one value for each class")
        return np.asarray(image).astype(np.int64)
