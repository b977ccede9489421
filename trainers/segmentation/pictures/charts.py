"""The confusion matrix of a segmentation model, in shares of the pixels of each true class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from trainers.drawing.chart_style import plain
from trainers.segmentation.metrics import ImageResult

NAMED_CLASSES = 30  # a matrix with more classes has no labels


def confusion(results: Sequence[ImageResult], classes: tuple[str, ...], title: str, path: Path) -> None:
    """Write the confusion matrix of all images."""
    matrix = np.sum([each.confusion for each in results], axis=0)
    count = len(matrix)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(min(16, 4 + 0.6 * count), min(14, 3 + 0.5 * count)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if count <= NAMED_CLASSES:
        names = [plain(name) for name in classes]
        axes.set_xticks(range(count), names, rotation=45, ha="right")
        axes.set_yticks(range(count), names)
        for row, column in np.argwhere(matrix > 0):
            shade = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{shares[row, column]:.3f}", ha="center", va="center", color=shade)
    axes.set_xlabel("predicted as")
    axes.set_ylabel("labelled as")
    axes.set_title(f"{plain(title)}\nshare of the pixels of each class", fontsize=10)
    figure.savefig(path)
