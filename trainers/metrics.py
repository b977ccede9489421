"""Metrics: what one evaluation of a detector measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.detection.coco_metrics import ImageResult

# COCO's twelve numbers, in the order of pycocotools' `COCOeval.stats`
COCO_NAMES = (
    "mAP", "mAP50", "mAP75", "mAP_small", "mAP_medium", "mAP_large",
    "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip


@dataclass(frozen=True)
class Metrics:
    """One evaluation.

    step: gradient steps taken before it.
    coco: the twelve numbers of COCO_NAMES, each in 0..1, or -1 where no box of that size exists.
    class_ap: AP over IoU .50:.95 by class name, -1 for a class without a box.
    losses: validation loss parts (classification, localization, regularization, total), means over images.
    images: how many images were evaluated.
    seconds: wall time it took.
    results: truth and detections of each image, in the dataset's order; empty where a trainer has no boxes, or measured
        a part of the images only.
    """

    step: int
    coco: Mapping[str, float]
    class_ap: Mapping[str, float]
    losses: Mapping[str, float]
    images: int
    seconds: float
    tags: Mapping[str, str] = field(default_factory=dict)
    results: Sequence[ImageResult] = field(default=(), repr=False, compare=False)

    @property
    def mAP(self) -> float:
        """Mean AP over IoU .50:.95 and classes: what a search maximises."""
        return self.coco["mAP"]

    def flat(self) -> dict[str, float]:
        """One level of names: `mAP`, ..., `AP/<class>`, `validation_loss/<part>`."""
        flat = dict(self.coco)
        flat |= {f"AP/{name}": value for name, value in self.class_ap.items()}
        flat |= {f"validation_loss/{name}": value for name, value in self.losses.items()}
        return flat
