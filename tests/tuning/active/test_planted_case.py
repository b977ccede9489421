"""A planted pool, its scores written down: entropy alone finds nothing of a rare class, entropy by cluster does."""

from __future__ import annotations

import numpy as np
import pytest
from made_pool import CLASSES, planted

from tuning.active import curves
from tuning.active.curves import Curves
from tuning.active.verdict import verdict
from tuning.selection import picking, strategies

SEEDS, COUNTS = 5, range(0, 61, 10)  # picked images


def learned(strategy: str, seed: int) -> list[float]:
    """What a detector would learn of the rare class: from each image that shows it, a tenth of what is left.

    Near-duplicates of common cars teach nothing of it.
    """
    images, rare = planted(seed)
    names = [image.name for image in images]
    picked = picking.pick(strategies.get(strategy), lambda: iter(images), names, COUNTS[-1], CLASSES, seed)
    shows = [names[each.place] in rare for each in picked]
    return [1 - 0.9 ** sum(shows[:count]) for count in COUNTS]


@pytest.fixture(scope="module")
def outcome() -> Curves:
    names = ("diverse-entropy", "entropy", "random")
    values = {name: np.array([learned(name, seed) for seed in range(SEEDS)]) for name in names}
    return Curves(np.array(COUNTS), values)


def test_entropy_with_diversity_needs_at_most_half_of_randoms_labels_and_surely_fewer_than_80_percent(
    outcome,
):
    found = curves.needed(outcome, "diverse-entropy", "random", len(COUNTS) - 1)
    assert found.labels <= 0.5 * found.control
    assert found.most <= 0.8 * found.control
    assert curves.lead(outcome, "diverse-entropy", "random").low >= 0.1
    said = verdict(outcome, "diverse-entropy", "random", "AP")
    assert said.startswith("diverse-entropy is better than random: it reaches random's AP of")


def test_entropy_alone_picks_near_duplicates_and_never_reaches_random(outcome):
    assert not outcome.values["entropy"].any()
    assert curves.needed(outcome, "entropy", "random", len(COUNTS) - 1).labels is None
    assert not verdict(outcome, "entropy", "random", "AP").startswith("entropy is better")
