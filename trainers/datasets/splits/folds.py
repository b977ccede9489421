"""Folds: several splits of the same images, in which each image is for validation once (cross-validation)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fold:
    """The split in which the `number`-th of `of` equal shares of the images is the validation part; from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number} of {self.of}"

    @classmethod
    def parse(cls, text: str) -> Fold:
        """A fold from its text, such as "2 of 3"."""
        number, of = text.split(" of ")
        return cls(int(number), int(of))


def held_out(sequences: Iterable[tuple[str, int]], fold: Fold) -> tuple[list[str], int]:
    """The sequences of the fold's validation part, and the number of all sequences.

    sequences: names and numbers of images, those that show the same rarest class behind one another; each goes to the
    share that has the fewest images so far, so that the shares are of about one size, with each class in all of them.
    """
    images = [0] * fold.of
    chosen: list[str] = []
    count = 0
    for name, size in sequences:
        count += 1
        smallest = images.index(min(images))
        images[smallest] += size
        if smallest == fold.number - 1:
            chosen.append(name)
    return chosen, count
