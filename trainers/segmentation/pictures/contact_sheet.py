"""Validation images with true and predicted masks laid over them: a sheet of one trial, and rows of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from trainers.datasets.dataset import Dataset
from trainers.drawing.chart_style import colour, plain
from trainers.evidence import Example
from trainers.segmentation.data.masked_image import MaskedImage, read_masked_images
from trainers.segmentation.data.sources.colour_map import IGNORE
from trainers.segmentation.metrics import ImageResult

IMAGES = 8  # of a sheet, evenly spaced among those that show more than one class
ROWS = 6  # of a report
COLUMNS = 2  # pairs of pictures in a row of a sheet
OPACITY = 0.5
WIDTH, QUALITY = 320, 80  # of a report's pictures: pixels, JPEG quality


def draw(results: Sequence[ImageResult], dataset: Dataset, title: str, path: Path) -> None:
    """Write the sheet."""
    chosen = chosen_images(results, IMAGES)
    images = images_of(dataset, chosen)
    rows = -(-len(images) // COLUMNS)
    figure = Figure(figsize=(5 * COLUMNS, 2.7 * rows + 0.8), layout="constrained", dpi=120)
    grid = figure.subplots(rows, 2 * COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for place, image, left, right in zip(chosen, images, grid[::2], grid[1::2], strict=False):
        left.imshow(overlaid(image.pixels(), image.mask))
        left.set_title("labelled", fontsize=8)
        right.imshow(overlaid(image.pixels(), predicted(results[place])))
        right.set_title("predicted", fontsize=8)
    patches = [Patch(color=colour(i), label=plain(name)) for i, name in enumerate(dataset.classes)]
    figure.legend(handles=patches[1:9], loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle(plain(title), fontsize=10)
    figure.savefig(path, pil_kwargs={"quality": 85})


def side_by_side(
    trials: Mapping[str, Sequence[ImageResult]], dataset: Dataset
) -> tuple[str, list[list[Example]]]:
    """A sentence of explanation, and a row of pictures per image: the true mask, then each trial's."""
    chosen = chosen_images(next(iter(trials.values())), ROWS)
    rows = []
    for place, image in zip(chosen, images_of(dataset, chosen), strict=True):
        row = [_example(image, image.mask, f"image {place + 1}, ground truth")]
        row += [_example(image, predicted(results[place]), name) for name, results in trials.items()]
        rows.append(row)
    text = (
        f"{len(chosen)} validation images, evenly spaced among those that show more than one class. "
        f"Pixels of {dataset.classes[0]} are not coloured."
    )
    return text, rows


def chosen_images(results: Sequence[ImageResult], most: int) -> list[int]:
    """At most `most` positions of images, evenly spaced among those whose truth has more than one class."""
    several = [i for i, each in enumerate(results) if np.count_nonzero(each.confusion.sum(axis=1)) > 1]
    places = several or list(range(len(results)))
    return sorted({places[int(i)] for i in np.linspace(0, len(places) - 1, min(most, len(places)))})


def images_of(dataset: Dataset, chosen: Sequence[int]) -> list[MaskedImage]:
    """The validation images at these positions."""
    wanted = set(chosen)
    return [each for i, each in enumerate(read_masked_images(dataset.validation.files)) if i in wanted]


def predicted(result: ImageResult) -> np.ndarray:
    """(H, W) uint8 class indices of a result's mask."""
    return np.asarray(cv2.imdecode(np.frombuffer(result.predicted, np.uint8), cv2.IMREAD_UNCHANGED))


def overlaid(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The RGB image, (H, W, 3) uint8, with all classes but the first, and ignored pixels in grey, laid over it."""
    table = np.array([to_rgb(colour(i)) for i in range(IGNORE)] + [(0.5, 0.5, 0.5)]) * 255
    shown = (mask > 0)[..., np.newaxis]
    mixed = np.where(shown, image * (1 - OPACITY) + table[mask] * OPACITY, image)
    return np.asarray(mixed.astype(np.uint8))


def _example(image: MaskedImage, mask: np.ndarray, caption: str) -> Example:
    drawn = cv2.cvtColor(overlaid(image.pixels(), mask), cv2.COLOR_RGB2BGR)
    size = (WIDTH, round(WIDTH * drawn.shape[0] / drawn.shape[1]))
    small = cv2.resize(
        drawn, size, interpolation=cv2.INTER_AREA if drawn.shape[1] > WIDTH else cv2.INTER_CUBIC
    )
    return Example(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes(), caption)
