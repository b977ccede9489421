"""Which images of a part stand for all of them, when only some can be read."""

from __future__ import annotations

import itertools
from random import Random


def representative(count: int, wanted: int) -> list[int]:
    """`wanted` of the positions 0..count - 1, in a random order that is always the same.

    One at random from each of `wanted` intervals of equal length: a part whose images are sorted, or alternate between
    two cameras, is represented as it is. If there are fewer positions, each occurs about equally often.
    """
    random = Random(0)
    rounds = [range(count)] * (wanted // count)
    rest = wanted % count
    starts = [index * count // rest for index in range(rest + 1)] if rest else []
    chosen = [start + int(random.random() * (end - start)) for start, end in itertools.pairwise(starts)]
    return sorted([*itertools.chain(*rounds), *chosen], key=lambda _: random.random())


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """`wanted` of the positions 0..count - 1 in order, all if there are fewer: each where the sum of wanted / count
    reaches an integer."""
    if wanted >= count:
        return list(range(count))
    return [index for index in range(count) if index * wanted % count + wanted >= count]
