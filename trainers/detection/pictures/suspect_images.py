"""Likely label errors with the file names and pictures of their images, for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from trainers.datasets.dataset import Dataset
from trainers.datasets.records.reading import read_images
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.pictures.contact_sheet import annotated, images_of
from trainers.detection.suspects import Disagreement, disagreements
from trainers.evidence import Example, Suspect

PICTURED = 6  # with the label and what was found instead
WIDTH, QUALITY = 480, 80  # pixels, JPEG quality


def suspects(trials: Mapping[str, Sequence[ImageResult]], dataset: Dataset, most: int) -> list[Suspect]:
    """At most `most` of `disagreements`, the first of them with pictures."""
    results = list(trials.values())
    found = disagreements(results, len(dataset.classes))[:most]
    wanted = {each.image for each in found}
    names = {
        place: image.name
        for place, image in enumerate(read_images(dataset.validation.files))
        if place in wanted
    }
    places = sorted({each.image for each in found[:PICTURED]})
    images = dict(zip(places, images_of(results[0], dataset, places), strict=True)) if places else {}
    return [
        Suspect(
            image=names[each.image],
            what=_says(each, dataset.classes),
            certainty=each.certainty,
            examples=_pictures(each, *images[each.image], results[0][each.image]) if i < PICTURED else (),
        )
        for i, each in enumerate(found)
    ]


def _says(each: Disagreement, classes: Sequence[str]) -> str:
    ymin, xmin, ymax, xmax = each.box
    where = f"at x {xmin:.0f} to {xmax:.0f}, y {ymin:.0f} to {ymax:.0f}"
    if each.label is None and each.found is not None:
        return f"a {classes[each.found]} without a box, {where}"
    if each.found is not None and each.label is not None:
        return f"labelled {classes[each.label]}, found as {classes[each.found]}, {where}"
    assert each.label is not None
    return f"labelled {classes[each.label]}, found by no trial, {where}"


def _pictures(
    each: Disagreement, image: np.ndarray, shown: ImageResult, result: ImageResult
) -> tuple[Example, ...]:
    """The labels, and beside them the one box in question. image, shown: at the size of pictures."""
    scale = np.array([shown.height / result.height, shown.width / result.width] * 2)
    label = each.label if each.found is None else each.found
    one = annotated(
        image, (each.box * scale)[None], np.array([label]), None if each.found is None else np.array([each.certainty])
    )  # fmt: skip
    labels = annotated(image, shown.true_boxes, shown.true_classes, None)
    return Example(_jpeg(labels), "labelled"), Example(_jpeg(one), each.kind)


def _jpeg(drawn: np.ndarray) -> bytes:
    size = (WIDTH, round(WIDTH * drawn.shape[0] / drawn.shape[1]))
    small = cv2.resize(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
