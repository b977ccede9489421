"""Files of per-image results: a trial's detections in every validation image, for the report and the pictures.

    <study>/validation.npz                         ground truth; the same for all trials, written once
    <study>/trials/<number>/detections-<step>.npz  detections at each rung that the trial reached

Both are NumPy archives without pickles, in the order of the dataset's validation records. Boxes are
[ymin, xmin, ymax, xmax] in pixels of the original image, float32; `counts[i]` consecutive rows belong to image i.
Ground truth of earlier versions has no `ignored` and no `areas`; the next trial of the study adds them.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainers.datasets.object_size import box_areas
from trainers.detection.coco_metrics import ImageResult
from trainers.errors import UserError
from trainers.files import write_bytes

TRUTH = "validation.npz"


def path_of(trial: Path, step: int) -> Path:
    """The trial's file of detections at one rung."""
    return trial / f"detections-{step}.npz"


def files(trial: Path) -> list[Path]:
    """The trial's files of detections at all rungs."""
    return list(trial.glob("detections-*.npz"))


def write(trial: Path, step: int, results: Sequence[ImageResult]) -> None:
    """Store the results of the trial in the folder `<study>/trials/<number>` at `step`; nothing if there are none."""
    if not results:
        return
    truth = _truth(trial)
    if "ignored" not in _read(truth):
        _write(
            truth,
            sizes=np.array([(each.height, each.width) for each in results], np.int32),
            counts=np.array([len(each.true_classes) for each in results], np.int32),
            boxes=np.concatenate([each.true_boxes for each in results]).astype(np.float32),
            classes=np.concatenate([each.true_classes for each in results]).astype(np.int16),
            crowd=np.concatenate([each.crowd for each in results]).astype(bool),
            ignored=np.concatenate([_ignored(each) for each in results]).astype(bool),
            areas=np.concatenate([_areas(each) for each in results]).astype(np.float64),
        )
    _write(
        path_of(trial, step),
        counts=np.array([len(each.scores) for each in results], np.int32),
        boxes=np.concatenate([each.boxes for each in results]).astype(np.float32),
        classes=np.concatenate([each.classes for each in results]).astype(np.int16),
        scores=np.concatenate([each.scores for each in results]).astype(np.float32),
    )


def read(trial: Path, step: int) -> list[ImageResult]:
    """Ground truth and detections of every validation image at a rung of the trial in `<study>/trials/<number>`.

    Empty if nothing is stored. Raises UserError if a file is damaged.
    """
    found = _read(path_of(trial, step))
    true = _read(_truth(trial))
    if not found or not true:
        return []
    if len(found["counts"]) != len(true["counts"]):
        raise UserError(
            f"{path_of(trial, step)}: does not belong to the images of {_truth(trial)}; delete it"
        )
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


def _truth(trial: Path) -> Path:
    return trial.parents[1] / TRUTH


def _split(rows: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    return np.split(rows, np.cumsum(counts)[:-1])


def _write(path: Path, **arrays: np.ndarray) -> None:
    archive = io.BytesIO()
    np.savez_compressed(archive, allow_pickle=False, **arrays)
    write_bytes(path, archive.getvalue())


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: is damaged ({' '.join(str(error).split())}); delete it") from None
