"""Simulated rollouts: videos whose object rates differ, a champion, and candidates of known quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serve.deployment.evidence import UNDECIDED, Bounds, judge
from serve.deployment.shadowing import PER_UNIT

RECALL = 0.7  # of the champion


@dataclass(frozen=True)
class Kind:
    """A candidate. identical: it is the champion. recall: relative to the champion's. spread: standard deviation of the
    logarithm of its relative recall between videos."""

    identical: bool = False
    recall: float = 1.0
    spread: float = 0.1


KINDS = {
    "identical": Kind(identical=True),
    "as good, but another": Kind(),
    "finds 30% less": Kind(recall=0.7),
    "finds 30% less, uneven": Kind(recall=0.7, spread=0.3),
    "finds nothing": Kind(recall=0.0),
    "finds twice as much": Kind(recall=2.0),
}


def unit(rng: np.random.Generator, kind: Kind, sigma: float) -> tuple[int, int, int]:
    """(images, ours, theirs) of one job. sigma: of the logarithm of its objects per frame; the median is 3.

    Half of a frame's objects stay through the whole video, so that its frames resemble each other.
    """
    rate = 3 * np.exp(sigma * rng.standard_normal())
    objects = rng.poisson(rate / 2) + rng.poisson(rate / 2, PER_UNIT)
    theirs = rng.binomial(objects, RECALL)
    if kind.identical:
        return PER_UNIT, int(theirs.sum()), int(theirs.sum())
    recall = RECALL * kind.recall * np.exp(kind.spread * rng.standard_normal() - kind.spread**2 / 2)
    found = rng.binomial(objects, min(recall, 1.0))
    extra = rng.poisson(objects * max(recall - 1.0, 0.0))  # more than there is
    return PER_UNIT, int((found + extra).sum()), int(theirs.sum())


def rollout(
    rng: np.random.Generator,
    kind: Kind,
    sigma: float,
    bounds: Bounds = Bounds(),  # noqa: B008
) -> tuple[bool, int]:
    """Whether the candidate was promoted, and after how many jobs; it is judged after each."""
    units: list[tuple[int, int, int]] = []
    while len(units) < UNDECIDED * bounds.jobs:
        units.append(unit(rng, kind, sigma))
        if len(units) >= bounds.jobs:
            verdict = judge(np.array(units, float), bounds)
            if verdict is not None:
                return verdict == "", len(units)
    raise AssertionError("undecided")
