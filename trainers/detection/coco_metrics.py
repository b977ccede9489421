"""COCO's twelve metrics and the AP of each class, by faster-coco-eval (a test compares it with pycocotools).

Some true objects do not count: to find one is neither right nor wrong, to miss it is no fault.
- A crowd, by COCO's rule: any number of detections, by the share of the detection that is inside.
- An object to ignore (Pascal VOC's `difficult`, or of weight 0), by COCO's rule for objects of another size: the
  detection with which it would be right, by IoU; a second one is wrong as any second one is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from trainers.datasets.object_size import SIZES, box_areas

# COCO's twelve metrics, in the order of pycocotools' `COCOeval.stats`
COCO_NAMES = (
    "mAP", "mAP50", "mAP75", "mAP_small", "mAP_medium", "mAP_large",
    "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip

RECALLS = np.linspace(0, 1, 101)  # recalls at which COCO samples precision
ANY_AREA = (0.0, 1e10)  # square pixels, both ends included
# Outside of every range, which is the only way to have COCO's evaluation ignore an object that is no crowd: it replaces
# the `ignore` of an annotation by its `iscrowd`.
IGNORED_AREA = 1e11


@dataclass(frozen=True)
class ImageResult:
    """Ground truth and detections of one image.

    height, width: pixels of the original image.
    true_boxes: (G, 4) float, [ymin, xmin, ymax, xmax] in pixels. true_classes: (G,) int, from 0.
    crowd: (G,) bool.
    boxes: (D, 4) float, likewise. classes: (D,) int, from 0. scores: (D,) float.
    ignored: (G,) bool, for objects that do not count and are no crowds; None for none.
    areas: (G,) float, square pixels; None for those of the boxes.
    """

    height: int
    width: int
    true_boxes: np.ndarray
    true_classes: np.ndarray
    crowd: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    ignored: np.ndarray | None = None
    areas: np.ndarray | None = None

    @property
    def true_areas(self) -> np.ndarray:
        """(G,) float: the area of each object, and IGNORED_AREA for those to ignore."""
        areas = box_areas(self.true_boxes) if self.areas is None else self.areas
        return areas if self.ignored is None else np.where(self.ignored, IGNORED_AREA, areas)

    @property
    def counted(self) -> np.ndarray:
        """(G,) bool: whether an object counts."""
        counted: np.ndarray = ~self.crowd.astype(bool)
        return counted if self.ignored is None else counted & ~self.ignored.astype(bool)


def evaluate(images: Sequence[ImageResult], classes: Sequence[str]) -> dict[str, float]:
    """The twelve metrics of COCO_NAMES, and `AP/<class>` over IoU .50:.95 for each class.

    Each is in [0, 1], or -1 if the ground truth has nothing to measure it on.
    """
    truth = COCO(ground_truth(images, classes))
    found = detections(images)
    if not found:  # the library does not accept an empty list
        return _nothing_found(truth, classes)
    evaluation = _evaluated(truth, found)
    evaluation.summarize()
    precision = _precision(evaluation)
    class_ap = {}
    for index, name in enumerate(classes):
        valid = precision[:, :, index][precision[:, :, index] > -1]
        class_ap[f"AP/{name}"] = float(valid.mean()) if valid.size else -1.0
    return dict(zip(COCO_NAMES, map(float, evaluation.stats[:12]), strict=True)) | class_ap


def precision_by_recall(
    images: Sequence[ImageResult], classes: Sequence[str], iou: float
) -> dict[str, np.ndarray]:
    """Precision at each of RECALLS, (101,), by class name, for classes in the ground truth."""
    truth = COCO(ground_truth(images, classes))
    found = detections(images)
    if not found:
        numbers = _nothing_found(truth, classes)
        return {name: np.zeros(len(RECALLS)) for name in classes if numbers[f"AP/{name}"] >= 0}
    evaluation = _evaluated(truth, found)
    at = int(np.argmin(np.abs(np.asarray(evaluation.params.iouThrs) - iou)))
    precision = _precision(evaluation)[at]
    return {name: precision[:, i] for i, name in enumerate(classes) if (precision[:, i] > -1).all()}


def _evaluated(truth: Any, found: list[dict[str, Any]]) -> Any:
    evaluation = COCOeval_faster(truth, truth.loadRes(found), iouType="bbox", print_function=_be_silent)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def _precision(evaluation: Any) -> np.ndarray:
    """(IoU thresholds, recalls, classes), over boxes of all areas and at most 100 detections per image."""
    # further dimensions: areas (0 is all) and maximum numbers of detections (the last is 100)
    precision: np.ndarray = evaluation.eval["precision"][:, :, :, 0, -1]
    return precision


def ground_truth(images: Sequence[ImageResult], classes: Sequence[str]) -> dict[str, Any]:
    """COCO's annotation dictionary; image ids and category ids are positions in `images` and `classes`, from 1."""
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        columns = (image.true_boxes, image.true_classes, image.crowd, image.true_areas)
        for box, label, crowd, area in zip(*columns, strict=True):
            annotations.append({
                "id": len(annotations) + 1, "image_id": image_id, "category_id": int(label) + 1,
                "bbox": _xywh(box), "area": float(area), "iscrowd": int(crowd),
            })  # fmt: skip
    return {
        "info": {},
        "images": [
            {"id": i, "height": image.height, "width": image.width} for i, image in enumerate(images, start=1)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes, start=1)],
        "annotations": annotations,
    }


def detections(images: Sequence[ImageResult]) -> list[dict[str, Any]]:
    """COCO's results list."""
    return [
        {"image_id": image_id, "category_id": int(label) + 1, "bbox": _xywh(box), "score": float(score)}
        for image_id, image in enumerate(images, start=1)
        for box, label, score in zip(image.boxes, image.classes, image.scores, strict=True)
    ]


def _xywh(box: np.ndarray) -> list[float]:
    ymin, xmin, ymax, xmax = map(float, box)
    return [xmin, ymin, xmax - xmin, ymax - ymin]


def _nothing_found(truth: Any, classes: Sequence[str]) -> dict[str, float]:
    counted = [
        each for each in truth.dataset["annotations"] if not each["iscrowd"] and each["area"] <= ANY_AREA[1]
    ]
    numbers = {}
    for name in COCO_NAMES:
        low, high = SIZES.get(name.rpartition("_")[2], ANY_AREA)
        numbers[name] = 0.0 if any(low <= each["area"] <= high for each in counted) else -1.0
    present = {each["category_id"] for each in counted}
    return numbers | {f"AP/{name}": 0.0 if i in present else -1.0 for i, name in enumerate(classes, start=1)}


def _be_silent(*_: object) -> None:
    """Suppresses the tables that the library prints."""
