"""Chooses the records of a part that a description shows: some of all, and one of each class."""

from __future__ import annotations

from trainers.datasets.catalogue import rank
from trainers.datasets.records.checked_image import CheckedImage

_SAMPLES = 12  # of each part


class SampleSelection:
    """Takes in every image of a part once; the same are chosen each time."""

    def __init__(self) -> None:
        self._any: list[tuple[int, int]] = []
        self._of_class: dict[int, tuple[int, int]] = {}

    def offer(self, position: int, image: CheckedImage) -> None:
        """Consider the image at `position`."""
        ranked = (rank(str(position)), position)
        if len(self._any) < _SAMPLES or ranked < self._any[-1]:
            self._any = sorted([*self._any, ranked])[:_SAMPLES]
        for label in set(image.labels):
            self._of_class[label] = min(ranked, self._of_class.get(label, ranked))

    def chosen(self) -> frozenset[int]:
        """Their positions."""
        of_classes = {position for _, position in sorted(self._of_class.values())[:_SAMPLES]}
        others = [position for _, position in self._any if position not in of_classes]
        return frozenset(of_classes.union(others[: _SAMPLES - len(of_classes)]))
