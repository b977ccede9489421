"""Predictions: validation images with what is labelled and what the best trials find, side by side."""

from __future__ import annotations

import cv2
import numpy as np

from trainers.detection.coco_metrics import ImageResult
from trainers.errors import UserError
from tuning.pictures.contact_sheet import annotated, images_of, spread
from tuning.pictures.trial import DrawnTrial
from tuning.reporting.material import Material
from tuning.reporting.section import Picture, Section, listed
from tuning.study.data import reopen

IMAGES = 6
TRIALS = 2
WIDTH, QUALITY = 480, 80  # of the JPEGs; pixels
NAMES = ("blue", "orange", "green", "red", "pink", "light blue", "yellow", "black")  # of COLOURS


def section(material: Material) -> Section | None:
    """The pictures, or a sentence on why there are none."""
    about, folder = material.study.manifest, material.study.folder
    drawn = [
        DrawnTrial(
            folder / "trials" / str(record.number), f"trial {record.number}", record.rungs, material.classes
        )
        for record in material.ranked[:TRIALS]
    ]
    drawn = [trial for trial in drawn if trial.results]
    if not drawn:
        return None
    title = "Side by side"
    try:
        dataset = reopen(about.data, folder.parent / "data", material.data)
    except UserError as error:
        return Section("predictions", title, [f"No pictures: {error}."])
    labelled = [place for place, each in enumerate(drawn[0].results) if len(each.true_classes)]
    chosen = [labelled[place] for place in spread(len(labelled), IMAGES)] if labelled else []
    by_trial = [images_of(trial.results, dataset, chosen) for trial in drawn]
    rows = []
    for i, place in enumerate(chosen):
        image, result = by_trial[0][i]
        row = [_picture(image, result, f"image {place + 1}, as labelled", None)]
        for trial, images in zip(drawn, by_trial, strict=True):
            says = f"{trial.title}, scores from {trial.threshold:.2f}"
            row.append(_picture(images[i][0], images[i][1], says, trial.threshold))
        rows.append(row)
    shown = zip(material.classes, NAMES, strict=False)
    colours = listed([f"{name} {colour}" for name, colour in shown], len(NAMES))
    text = [f"{len(chosen)} validation images, spread evenly over those with labels. Boxes: {colours}."]
    return Section("predictions", title, text, pictures=rows, data={"images": chosen})


def _picture(image: np.ndarray, result: ImageResult, says: str, threshold: float | None) -> Picture:
    if threshold is None:
        drawn = annotated(image, result.true_boxes, result.true_classes, None)
    else:
        kept = result.scores >= threshold
        drawn = annotated(image, result.boxes[kept], result.classes[kept], result.scores[kept])
    size = (WIDTH, round(WIDTH * drawn.shape[0] / drawn.shape[1]))
    small = cv2.resize(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), size, interpolation=cv2.INTER_AREA)
    return Picture(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes(), says)
