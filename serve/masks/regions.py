"""Region: the pixels of one class in a frame, with COCO's run-length encoding, area and centroid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from faster_coco_eval.core import mask as coco


@dataclass(frozen=True)
class Region:
    """The pixels of one class.

    name: of the class. class_id: its value in masks, from 0. counts: COCO's compressed run-length encoding.
    area: pixels. centroid: (x, y), the mean of the centres of its pixels, in pixels. box: (left, top, right, bottom)
    around it, in pixels.
    """

    name: str
    class_id: int
    counts: str
    area: int
    centroid: tuple[float, float]
    box: tuple[float, float, float, float]

    def mask(self, height: int, width: int) -> np.ndarray:
        """(height, width) uint8, 1 in the region; the size must be that of the frame."""
        found: np.ndarray = coco.decode({"size": [height, width], "counts": self.counts.encode()})
        return found

    def to_dict(self, height: int, width: int) -> dict[str, Any]:
        """For JSON: `segmentation` in COCO's form, `box` normalised [ymin, xmin, ymax, xmax], `pixels` in pixels."""
        left, top, right, bottom = self.box
        return {
            "class": self.name,
            "class_id": self.class_id,
            "area": self.area,
            "share": round(self.area / (height * width), 6),
            "centroid": [round(value, 2) for value in self.centroid],
            "box": [
                round(value, 5) for value in (top / height, left / width, bottom / height, right / width)
            ],
            "pixels": list(self.box),
            "segmentation": {"size": [height, width], "counts": self.counts},
        }


def from_dict(fields: Mapping[str, Any]) -> Region:
    """The inverse of Region.to_dict."""
    left, top, right, bottom = fields["pixels"]
    x, y = fields["centroid"]
    return Region(
        fields["class"], fields["class_id"], fields["segmentation"]["counts"], fields["area"], (x, y),
        (left, top, right, bottom),
    )  # fmt: skip


def regions(mask: np.ndarray, classes: Sequence[str], wanted: Sequence[str] | None = None) -> list[Region]:
    """The regions of a mask, (H, W) uint8 class indices, of each class that it shows. wanted: only these; None: all."""
    by_columns = cv2.transpose(mask)  # COCO's order of pixels
    return [
        found
        for index, name in enumerate(classes)
        if (wanted is None or name in wanted) and (found := _region(by_columns, index, name))
    ]


def _region(by_columns: np.ndarray, index: int, name: str) -> Region | None:
    """The pixels of one class in a transposed mask, (W, H); None where it has none."""
    here = (by_columns == index).view(np.uint8)
    top, left, height, width = cv2.boundingRect(here)
    if not width:
        return None
    moments = cv2.moments(here[left : left + width, top : top + height], binaryImage=True)
    area = int(moments["m00"])
    counts = coco.encode(here.T)["counts"]
    return Region(
        name=name,
        class_id=index,
        counts=counts.decode() if isinstance(counts, bytes) else str(counts),
        area=area,
        centroid=(left + moments["m01"] / area, top + moments["m10"] / area),
        box=(float(left), float(top), float(left + width), float(top + height)),
    )
