"""COCO folders with all that real ones have, and detections for their validation images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CLASSES = ("vehicle", "pedestrian", "cyclist", "tram", "sign")
HEIGHT, WIDTH = 480, 640


def write_folder(folder: Path, seed: int) -> dict[str, Any]:
    """A COCO folder; returns the content of its validation file.

    Among the objects are crowds, areas of polygons, boxes of whole pixels whose area is just 32 x 32 or 96 x 96, and
    images of more than 100 and of no object. Class 4 is never labelled, and class 5 in no more than a crowd.
    """
    random = np.random.default_rng(seed)
    validation: dict[str, Any] = {}
    (folder / "annotations").mkdir(parents=True)
    for part, images in (("train", 3), ("val", 12)):
        content = _content(random, part, images)
        for image in content["images"]:
            path = folder / part / image["file_name"]
            path.parent.mkdir(exist_ok=True)
            grey = np.full((HEIGHT, WIDTH, 3), image["id"] % 256, np.uint8)
            path.write_bytes(cv2.imencode(".png", grey)[1].tobytes())
        (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
        validation = content
    return validation


def _content(random: np.random.Generator, part: str, images: int) -> dict[str, Any]:
    annotations = []
    ids = random.permutation(1000)[:images] + 1
    for number, image_id in enumerate(ids.tolist()):
        count = {0: 150, 1: 0}.get(number, int(random.integers(1, 12)))
        for _ in range(count):
            box = _box(random)
            category = int(random.choice([1, 1, 1, 2, 3, 5]))
            area = box[2] * box[3] * (random.uniform(0.3, 1) if random.random() < 0.5 else 1)
            crowd = category == 5 or random.random() < 0.08
            annotations.append({
                "id": len(annotations) + 1, "image_id": image_id, "category_id": category * 7, "bbox": box,
                "area": area, "iscrowd": int(crowd),
            })  # fmt: skip
    named = [{"id": i, "file_name": f"{part}{i}.png", "width": WIDTH, "height": HEIGHT} for i in ids.tolist()]
    categories = [{"id": 7 * (place + 1), "name": name} for place, name in enumerate(CLASSES)]
    return {"images": named, "annotations": annotations, "categories": categories}


def _box(random: np.random.Generator) -> list[float]:
    kind = random.random()
    sides = random.uniform(4, 200, 2)
    if kind < 0.3:
        sides = np.array([[32, 32], [16, 64], [96, 96], [48, 192]])[random.integers(4)]
    corner = random.uniform(0, [WIDTH - sides[0], HEIGHT - sides[1]])
    if kind < 0.6:
        corner, sides = corner.round(), sides.round()
    elif kind < 0.8:
        corner, sides = corner.round(2), sides.round(2) - 0.01
    return [float(each) for each in (*corner, *sides)]


def detections(content: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """COCO's results: near the objects, twice near some, and away from all; some of the wrong class, none of class 3."""
    random = np.random.default_rng(1000 + seed)
    found = []
    for annotation in content["annotations"]:
        for _ in range(int(random.choice([0, 1, 1, 1, 2]))):
            x, y, width, height = annotation["bbox"]
            near = np.array([x, y, width, height]) + random.normal(0, 0.06, 4) * [
                width,
                height,
                width,
                height,
            ]
            category = annotation["category_id"] if random.random() < 0.9 else 14
            found.append((annotation["image_id"], category, near))
    for image in content["images"]:
        for _ in range(20):
            found.append((image["id"], int(random.choice([7, 14, 28])), np.array(_box(random))))
    return [
        {"image_id": image, "category_id": category, "bbox": box.tolist(), "score": float(random.random())}
        for image, category, box in found
        if category != 21
    ]
