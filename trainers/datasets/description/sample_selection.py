"""Selects the sample images that a description shows of a part: at random, but with every class."""

from __future__ import annotations

from trainers.datasets.catalogue import rank
from trainers.datasets.records.checked_image import CheckedImage

_SAMPLES = 12  # of each part


class SampleSelection:
    """Selects up to 12 images from a stream, deterministically, with one of each class as far as they fit."""

    def __init__(self) -> None:
        self._any: list[tuple[int, int]] = []
        self._of_class: dict[int, tuple[int, int]] = {}

    def offer(self, position: int, image: CheckedImage) -> None:
        """Consider the image at `position`, counted from 0. Call it once for each image."""
        ranked = (rank(str(position)), position)
        if len(self._any) < _SAMPLES or ranked < self._any[-1]:
            self._any = sorted([*self._any, ranked])[:_SAMPLES]
        for label in set(image.labels):
            self._of_class[label] = min(ranked, self._of_class.get(label, ranked))

    def chosen(self) -> frozenset[int]:
        """Positions of the selected images."""
        of_classes = {position for _, position in sorted(self._of_class.values())[:_SAMPLES]}
        others = [position for _, position in self._any if position not in of_classes]
        return frozenset(of_classes.union(others[: _SAMPLES - len(of_classes)]))
