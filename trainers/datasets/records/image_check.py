"""Checks one labelled image against its picture and makes the Record that training reads, or says why not.

Pictures that TensorFlow would read otherwise than a person sees them are encoded anew: CMYK, 16 bits,
    alpha, palettes, formats other than JPEG and PNG. Pixels are as stored, and a camera's EXIF turn is
    ignored, as TensorFlow ignores it,
unless the labels were made on the turned picture: then the picture is turned. Labels tell by the size they
    state; where they state none, the format's convention holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trainers.datasets.labelled_image import Box, LabelledImage
from trainers.datasets.pictures.picture import BadPicture, Picture, read_picture
from trainers.datasets.problems import Problem
from trainers.datasets.records.checked_image import CheckedImage

# Pixels by which a box may leave its image unremarked: labels are rounded, and some count pixels from 1.
ROUNDING = 1.0


@dataclass(frozen=True)
class CheckResult:
    """What a check found: the record, unless the image is of no use, and every problem."""

    image: CheckedImage | None
    problems: tuple[Problem, ...]


def check_image(image: LabelledImage, data: bytes, ids: Mapping[str, int]) -> CheckResult:
    """Check `image`, whose encoded bytes are `data`.

    ids: label id by class name; every box's name is in it.
    """
    try:
        picture = read_picture(data, image.size, image.turned_by_default)
    except BadPicture as error:
        return CheckResult(None, (Problem("unreadable image", image.name, str(error), image.name),))
    problems = [Problem("image encoded anew", image.name, picture.reencoded)] if picture.reencoded else []
    size = (picture.width, picture.height)
    if image.size and image.size != size:
        stated = f"labels are for {image.size[0]}x{image.size[1]} px, the picture has {size[0]}x{size[1]}"
        return CheckResult(None, (*problems, Problem("wrong size", image.labelled_in, stated, image.name)))
    boxes = []
    for box in image.boxes:
        fractions, problem = _inside(box, image, picture)
        if problem:
            problems.append(problem)
        if fractions:
            boxes.append((box, fractions))
    checked = CheckedImage(
        name=image.name,
        image=picture.data,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        boxes=np.array([fractions for _, fractions in boxes], np.float32).reshape(-1, 4),
        labels=tuple(ids[box.name] for box, _ in boxes),
        difficult=tuple(box.difficult for box, _ in boxes),
        crowd=tuple(box.crowd for box, _ in boxes),
    )
    return CheckResult(checked, tuple(problems))


Fractions = tuple[float, float, float, float]


def _inside(box: Box, image: LabelledImage, picture: Picture) -> tuple[Fractions | None, Problem | None]:
    """The box as fractions, cut at the image's edges, or None; and what was wrong with it."""
    given = (box.ymin, box.xmin, box.ymax, box.xmax)
    high, wide = (1.0, 1.0) if image.fractions else (picture.height, picture.width)
    if 0 <= given[0] < given[2] <= high and 0 <= given[1] < given[3] <= wide:  # as nearly all are
        return (given[0] / high, given[1] / wide, given[2] / high, given[3] / wide), None
    where = image.label_place(box)
    shown = f"{box.name} [ymin {given[0]:g}, xmin {given[1]:g}, ymax {given[2]:g}, xmax {given[3]:g}]"
    if not all(math.isfinite(edge) for edge in given):
        return None, Problem("box that is not a number", where, shown, image.name)
    scale = (picture.height, picture.width, picture.height, picture.width)
    pixels = (
        [edge * side for edge, side in zip(given, scale, strict=True)] if image.fractions else list(given)
    )
    if pixels[2] <= pixels[0] or pixels[3] <= pixels[1]:
        return None, Problem("box without area", where, shown, image.name)
    cut = [min(max(edge, 0.0), float(side)) for edge, side in zip(pixels, scale, strict=True)]
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        return None, Problem(
            "box outside its image", where, f"{shown} of {picture.width}x{picture.height} px", image.name
        )
    ymin, xmin, ymax, xmax = (
        was if image.fractions and after == before else after / side
        for was, before, after, side in zip(given, pixels, cut, scale, strict=True)
    )
    problem = None
    if max(abs(a - b) for a, b in zip(cut, pixels, strict=True)) > ROUNDING:
        shown = f"{shown} of {picture.width}x{picture.height} px; cut at the edge"
        problem = Problem("box beyond its image's edge", where, shown, image.name)
    return (ymin, xmin, ymax, xmax), problem
