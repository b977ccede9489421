"""The sizes of what masks show, from which a search chooses its image size."""

from __future__ import annotations

from itertools import islice

import numpy as np

from trainers.datasets.dataset import Dataset
from trainers.segmentation.data.masked_image import read_masked_images

MOST_LOOKED_AT = 2000  # training images; records are written in a random order
QUANTILES = np.linspace(0.005, 0.995, 100)


def region_sides(dataset: Dataset) -> np.ndarray:
    """(N,) float, 0 to 1: the root of a class's share of an image's pixels, for training images that show the class.

    The first class, what is around the others, is left out. Each other one has 100 quantiles, so that all count the
    same, as in mean IoU.
    """
    count = len(dataset.classes)
    shares = [
        np.bincount(image.mask.ravel(), minlength=256)[1:count] / image.mask.size
        for image in islice(read_masked_images(dataset.train.files), MOST_LOOKED_AT)
    ]
    of_classes = np.sqrt(np.array(shares).reshape(-1, count - 1)).T
    shown = [sides[sides > 0] for sides in of_classes]
    return np.concatenate([np.zeros(0), *(np.quantile(sides, QUANTILES) for sides in shown if len(sides))])
