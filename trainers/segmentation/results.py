"""What is stored of per-image results: a trial's confusion matrix and predicted mask for every validation image.

<study>/trials/<number>/masks-<step>.npz, in the order of the validation records:
confusion (N, C, C) int64, scored (N,) str, sizes (N,) int64 and data (bytes,) uint8: the PNGs, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from trainers.segmentation.metrics import ImageResult


def pack(results: Sequence[ImageResult]) -> dict[str, np.ndarray]:
    """The arrays that are stored, by name."""
    return {
        "confusion": np.array([each.confusion for each in results]),
        "scored": np.array([each.scored for each in results]),
        "sizes": np.array([len(each.predicted) for each in results], np.int64),
        "data": np.frombuffer(b"".join(each.predicted for each in results), np.uint8),
    }


def unpack(arrays: Mapping[str, np.ndarray]) -> list[ImageResult]:
    """The results of which `pack` made the arrays."""
    data, ends = arrays["data"].tobytes(), np.cumsum(arrays["sizes"]).tolist()
    starts = [0, *ends[:-1]]
    return [
        ImageResult(matrix, data[start:end], str(scored))
        for matrix, scored, start, end in zip(
            arrays["confusion"], arrays["scored"], starts, ends, strict=True
        )
    ]
