"""Labelled pictures of a brightness each: those of a middle one, of which a detector is least sure, show two objects."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

IMAGES = 32  # a fourth of which is for validation
UNSURE = 8


def write(folder: Path) -> Path:
    """A COCO data set: UNSURE training images are grey, the others nearly black; returns its folder."""
    generator = np.random.default_rng(0)
    for part, count in (("train", IMAGES - 8), ("validation", 8)):
        (folder / "images" / part).mkdir(parents=True)
        images, boxes = [], []
        for place in range(count):
            unsure = place < UNSURE
            picture = generator.normal(120 if unsure else 8, 4, (24, 24, 3)).clip(0, 255).astype(np.uint8)
            # a pattern of its own, so that no two look alike
            picture[generator.integers(0, 2, (24, 24)).astype(bool)] //= 2
            cv2.imwrite(str(folder / "images" / part / f"{part}{place}.png"), picture)
            images.append({"id": place, "file_name": f"{part}{place}.png", "width": 24, "height": 24})
            for box in range(2 if unsure else 1):
                corner = 2 + 8 * box
                boxes.append(
                    {"id": len(boxes) + 1, "image_id": place, "category_id": 1, "iscrowd": 0, "area": 36,
                     "bbox": [corner, corner, 6, 6]}
                )  # fmt: skip
        (folder / "annotations").mkdir(exist_ok=True)
        text = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "car"}]}
        (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(text))
    return folder
