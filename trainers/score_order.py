"""The order of scores at one step, of trials with one loss or with several.

A loss is a function of its own for each model, and for each head of one put together from parts. Where the objective
says nothing yet, because every trial is at chance level, it ranks the trials with the same loss, but not those with two.
There a score's standing counts: the share of the scores with its loss that it is ahead of.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.objective import Score

Key = tuple[float, ...]


def keys(scores: Sequence[Score]) -> list[Key]:
    """Sort keys of scores at the same step, ascending from worst to best: Score.key, comparable between losses.

    Where the scores are of several losses, the first tie-breaker that does not compare between them is replaced by the
    score's standing among the scores of its loss that it would decide between.
    """
    if len({score.loss for score in scores}) < 2:
        return [score.key for score in scores]
    groups: dict[tuple[str, Key], list[Key]] = {}
    for score in scores:
        groups.setdefault((score.loss, score.between_losses), []).append(score.key)
    for group in groups.values():
        group.sort()
    return [
        (*score.between_losses, as_loss(standing(score.key, groups[score.loss, score.between_losses])))
        for score in scores
    ]


def standing(key: Key, ordered: Sequence[Key]) -> float:
    """The share of `ordered`, ascending keys that include `key`, that it is ahead of: in (0, 1); a tie counts half."""
    return (bisect.bisect_left(ordered, key) + bisect.bisect_right(ordered, key)) / 2 / len(ordered)


def as_loss(share: float) -> float:
    """A standing in place of a tie-breaker without limits, on the scale on which Score.merit takes those in."""
    return math.tan(math.pi * (share - 0.5))
