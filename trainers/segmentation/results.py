"""Files of per-image results: a trial's confusion matrix and predicted mask for every validation image.

<study>/trials/<number>/masks-<step>.npz, a NumPy archive without pickles, in the order of the validation records:
confusion (N, C, C) int64, scored (N,) str, sizes (N,) int64 and data (bytes,) uint8: the PNGs, one after the other.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainers.errors import UserError
from trainers.files import write_bytes
from trainers.segmentation.metrics import ImageResult


def path_of(trial: Path, step: int) -> Path:
    """The trial's file of one rung."""
    return trial / f"masks-{step}.npz"


def files(trial: Path) -> list[Path]:
    """The trial's files of all rungs."""
    return list(trial.glob("masks-*.npz"))


def write(trial: Path, step: int, results: Sequence[ImageResult]) -> None:
    """Store the results of the trial in the folder `trial` at `step`, atomically; nothing if there are none."""
    if not results:
        return
    archive = io.BytesIO()
    np.savez_compressed(
        archive,
        allow_pickle=False,
        confusion=np.array([each.confusion for each in results]),
        scored=np.array([each.scored for each in results]),
        sizes=np.array([len(each.predicted) for each in results], np.int64),
        data=np.frombuffer(b"".join(each.predicted for each in results), np.uint8),
    )
    write_bytes(path_of(trial, step), archive.getvalue())


def read(trial: Path, step: int) -> list[ImageResult]:
    """The stored results; empty if there are none. Raises UserError if the file is damaged."""
    path = path_of(trial, step)
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = dict(archive)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: is damaged ({' '.join(str(error).split())}); delete it") from None
    data, ends = found["data"].tobytes(), np.cumsum(found["sizes"]).tolist()
    starts = [0, *ends[:-1]]
    return [
        ImageResult(matrix, data[start:end], str(scored))
        for matrix, scored, start, end in zip(found["confusion"], found["scored"], starts, ends, strict=True)
    ]
