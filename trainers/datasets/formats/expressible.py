"""What a format cannot state of crowds, difficult objects and weights: changed before it is written, and counted.

A crowd is not written as one object, and an object of weight 0 not as one to train on: both are left out, though their
place then counts as background. Where a format has crowds, an object of weight 0 becomes one, which is not trained on
either. A difficult object becomes an ordinary one: it is trained on as before, but evaluation counts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from trainers.datasets.formats.format import Format
from trainers.datasets.records.checked_image import CheckedImage

_ALL = frozenset({"crowd", "difficult", "weight"})
_NOTES = {
    "crowd": "crowd left out: {format} cannot state it, and its place counts as background",
    "weight 0": "object of weight 0 left out: {format} has no weights, and its place counts as background",
    "weight 0 as a crowd": "object of weight 0 written as a crowd: {format} has no weights; neither is trained on",
    "weight": "weight of an object left out: {format} has none, and it counts as any other",
    "difficult": "difficult object written as any other: {format} cannot state it, and evaluation counts it",
}


class Expressible:
    """Makes images expressible in a format, and counts what that changes."""

    def __init__(self, format: Format) -> None:
        self._title = format.TITLE
        self._states: frozenset[str] = getattr(format, "STATES", _ALL)
        self._changes: Counter[str] = Counter()

    def of(self, images: Iterable[CheckedImage]) -> Iterator[CheckedImage]:
        """The images without what the format cannot state."""
        return map(self._changed, images)

    def notes(self) -> tuple[str, ...]:
        """One line for each kind of change to the images so far."""
        return tuple(
            f"{self._changes[kind]} x {text.format(format=self._title)}"
            for kind, text in _NOTES.items()
            if self._changes[kind]
        )

    def _changed(self, image: CheckedImage) -> CheckedImage:
        states = self._states
        if states >= _ALL or not (any(image.crowd) or any(image.difficult) or image.weights):
            return image
        kept, crowd = [], list(image.crowd)
        for index, weight in enumerate(image.weights or (1.0,) * len(image.labels)):
            kind = ""
            if crowd[index]:
                kind = "" if "crowd" in states else "crowd"
            elif weight == 0 and "weight" not in states:
                crowd[index] = "crowd" in states
                kind = "weight 0 as a crowd" if crowd[index] else "weight 0"
            elif image.difficult[index] and "difficult" not in states:
                kind = "difficult"
            if weight not in (0, 1) and "weight" not in states and kind != "crowd":
                self._changes["weight"] += 1
            self._changes[kind] += 1
            if kind not in ("crowd", "weight 0"):
                kept.append(index)
        return replace(
            image,
            boxes=image.boxes[kept],
            labels=tuple(image.labels[index] for index in kept),
            difficult=tuple(image.difficult[index] and "difficult" in states for index in kept),
            crowd=tuple(crowd[index] for index in kept),
            areas=tuple(image.areas[index] for index in kept) if image.areas else (),
            weights=tuple(image.weights[index] for index in kept)
            if image.weights and "weight" in states
            else (),
        )
