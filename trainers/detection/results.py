"""What is stored of per-image results: a trial's detections in every validation image, for the report and pictures.

    <study>/validation.npz                         ground truth; the same for all trials, written once
    <study>/trials/<number>/detections-<step>.npz  detections at each rung that the trial reached

Both are NumPy archives, in the order of the dataset's validation records. Boxes are
[ymin, xmin, ymax, xmax] in pixels of the original image, float32; `counts[i]` consecutive rows belong to image i.
Ground truth of earlier versions has no `ignored` and no `areas`; the next trial of the study adds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from trainers.datasets.object_size import box_areas
from trainers.detection.coco_metrics import ImageResult
from trainers.errors import UserError
from trainers.files import read_arrays, write_arrays

TRUTH = "validation.npz"


def pack(path: Path, results: Sequence[ImageResult]) -> dict[str, np.ndarray]:
    """The arrays that are stored in the trial's file `path`. Writes the ground truth, if it is not there."""
    truth = _truth(path)
    if "ignored" not in read_arrays(truth):
        write_arrays(
            truth,
            {
                "sizes": np.array([(each.height, each.width) for each in results], np.int32),
                "counts": np.array([len(each.true_classes) for each in results], np.int32),
                "boxes": np.concatenate([each.true_boxes for each in results]).astype(np.float32),
                "classes": np.concatenate([each.true_classes for each in results]).astype(np.int16),
                "crowd": np.concatenate([each.crowd for each in results]).astype(bool),
                "ignored": np.concatenate([_ignored(each) for each in results]).astype(bool),
                "areas": np.concatenate([_areas(each) for each in results]).astype(np.float64),
            },
        )
    return {
        "counts": np.array([len(each.scores) for each in results], np.int32),
        "boxes": np.concatenate([each.boxes for each in results]).astype(np.float32),
        "classes": np.concatenate([each.classes for each in results]).astype(np.int16),
        "scores": np.concatenate([each.scores for each in results]).astype(np.float32),
    }


def unpack(path: Path, found: Mapping[str, np.ndarray]) -> list[ImageResult]:
    """Ground truth and detections of every validation image, from the arrays of the trial's file `path`.

    Empty if there is no ground truth. Raises UserError if it is of other images, or damaged.
    """
    true = read_arrays(_truth(path))
    if not true:
        return []
    if len(found["counts"]) != len(true["counts"]):
        raise UserError(f"{path}: does not belong to the images of {_truth(path)}; delete it")
    rows = zip(
        true["sizes"].tolist(),
        *(_split(true[name], true["counts"]) for name in ("boxes", "classes", "crowd")),
        *(_split(found[name], found["counts"]) for name in ("boxes", "classes", "scores")),
        *(_split(true[name], true["counts"]) for name in ("ignored", "areas") if name in true),
        strict=True,
    )
    return [ImageResult(height, width, *arrays) for (height, width), *arrays in rows]


def _ignored(result: ImageResult) -> np.ndarray:
    return np.zeros(len(result.true_classes), bool) if result.ignored is None else result.ignored


def _areas(result: ImageResult) -> np.ndarray:
    return box_areas(result.true_boxes) if result.areas is None else result.areas


def _truth(path: Path) -> Path:
    return path.parents[2] / TRUTH


def _split(rows: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    return np.split(rows, np.cumsum(counts)[:-1])
