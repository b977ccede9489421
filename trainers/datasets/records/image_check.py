"""Checks one labelled image and makes the CheckedImage that training reads, or reports why it cannot.

Images that TensorFlow would decode differently from other programs are re-encoded: CMYK, 16 bits a channel,
alpha, palettes, formats other than JPEG and PNG. EXIF rotation is ignored, as in TensorFlow, unless the labels
refer to the rotated image: then its pixels are rotated. The size stated in the labels decides which it is;
without one, the convention of the label format does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainers.datasets.labelled_image import Box, LabelledImage
from trainers.datasets.object_size import box_areas, is_own_area
from trainers.datasets.pictures.picture import BadPicture, Picture, read_picture
from trainers.datasets.problems import Problem
from trainers.datasets.records.checked_image import CheckedImage

# Pixels by which a box may exceed its image without a report: labels are rounded, and some tools count from 1.
ROUNDING = 1.0


@dataclass(frozen=True)
class CheckResult:
    """The checked image, or None if the image is unusable, and every problem found."""

    image: CheckedImage | None
    problems: tuple[Problem, ...]


def check_image(image: LabelledImage, data: bytes, ids: Mapping[str, int]) -> CheckResult:
    """Check `image`, whose encoded bytes are `data`.

    ids: label ids by class name, with every class of the boxes.
    """
    try:
        picture = read_picture(data, image.size, image.rotated_by_default)
    except BadPicture as error:
        return CheckResult(None, (Problem("unreadable image", image.name, str(error), image.name),))
    problems = (
        [Problem("image re-encoded", image.name, picture.reencoded, harmless=True)]
        if picture.reencoded
        else []
    )
    size = (picture.width, picture.height)
    if image.size and image.size != size:
        stated = f"labels state {image.size[0]}x{image.size[1]} px, the image has {size[0]}x{size[1]}"
        return CheckResult(
            None, (*problems, Problem("image size mismatch", image.labelled_in, stated, image.name))
        )
    boxes = []
    for box in image.boxes:
        fractions, problem = _inside(box, image, picture)
        if problem:
            problems.append(problem)
        if fractions:
            boxes.append((box, fractions))
    edges = np.array([fractions for _, fractions in boxes], np.float32).reshape(-1, 4)
    checked = CheckedImage(
        name=image.name,
        image=picture.data,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        boxes=edges,
        labels=tuple(ids[box.name] for box, _ in boxes),
        difficult=tuple(box.difficult for box, _ in boxes),
        crowd=tuple(box.crowd for box, _ in boxes),
        areas=_areas([box for box, _ in boxes], edges, picture),
        weights=tuple(box.weight for box, _ in boxes) if any(box.weight != 1 for box, _ in boxes) else (),
    )
    return CheckResult(checked, tuple(problems))


def _areas(boxes: Sequence[Box], fractions: np.ndarray, picture: Picture) -> tuple[float, ...]:
    """The area of each box's object; empty if all have those of their boxes."""
    if all(_has_own_area(box, edges, picture) for box, edges in zip(boxes, fractions.tolist(), strict=True)):
        return ()
    own = box_areas(fractions.astype(np.float64) * np.array([picture.height, picture.width] * 2))
    areas = [
        of_box if box.area is None or is_own_area(box.area, of_box) else box.area
        for box, of_box in zip(boxes, own.tolist(), strict=True)
    ]
    return () if areas == own.tolist() else tuple(areas)


def _has_own_area(box: Box, edges: Sequence[float], picture: Picture) -> bool:
    """Whether no other area than the box's is stated: of most boxes known without arrays, which take longer."""
    if box.area is None:
        return True
    height, width = (edges[2] - edges[0]) * picture.height, (edges[3] - edges[1]) * picture.width
    return is_own_area(box.area, round(height * width, 1))


Fractions = tuple[float, float, float, float]


def _is_below_a_pixel(edges: Fractions) -> bool:
    return edges[2] - edges[0] < 1 or edges[3] - edges[1] < 1


def _inside(box: Box, image: LabelledImage, picture: Picture) -> tuple[Fractions | None, Problem | None]:
    """The box in fractions, clipped to the image, or None if nothing of it is left; and the problem, if any."""
    given = (box.ymin, box.xmin, box.ymax, box.xmax)
    high, wide = (1.0, 1.0) if image.fractions else (picture.height, picture.width)
    in_fractions = given[2] <= 1 and given[3] <= 1 and not image.fractions and _is_below_a_pixel(given)
    inside = 0 <= given[0] < given[2] <= high and 0 <= given[1] < given[3] <= wide
    if inside and not in_fractions:  # the usual case, for speed
        return (given[0] / high, given[1] / wide, given[2] / high, given[3] / wide), None
    where = image.label_place(box)
    shown = f"{box.name} [ymin {given[0]:g}, xmin {given[1]:g}, ymax {given[2]:g}, xmax {given[3]:g}]"
    if not all(math.isfinite(edge) for edge in given):
        return None, Problem("invalid box coordinates", where, shown, image.name)
    scale = (picture.height, picture.width, picture.height, picture.width)
    pixels = (
        [edge * side for edge, side in zip(given, scale, strict=True)] if image.fractions else list(given)
    )
    if pixels[2] <= pixels[0] or pixels[3] <= pixels[1]:
        return None, Problem("box without area", where, shown, image.name)
    cut = [min(max(edge, 0.0), float(side)) for edge, side in zip(pixels, scale, strict=True)]
    if in_fractions and min(given) >= 0:
        return None, Problem("box in fractions", where, f"{shown}; expected pixels", image.name)
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        return None, Problem(
            "box outside the image", where, f"{shown} in {picture.width}x{picture.height} px", image.name
        )
    ymin, xmin, ymax, xmax = (
        was if image.fractions and after == before else after / side
        for was, before, after, side in zip(given, pixels, cut, scale, strict=True)
    )
    problem = None
    if max(abs(a - b) for a, b in zip(cut, pixels, strict=True)) > ROUNDING:
        shown = f"{shown} in {picture.width}x{picture.height} px; clipped"
        problem = Problem("box exceeds the image", where, shown, image.name)
    return (ymin, xmin, ymax, xmax), problem
