"""Which choice did it: the mean result of each choice of a categorical parameter, against the other trials.

All trials are at one rung, so that their budgets are equal. A trial's value is taken for a sum of one effect for each
parameter's choice and of noise, fitted by least squares: a choice that was tried together with good ones of another
parameter gets no credit for these. Intervals are simultaneous over all choices of all parameters (Bonferroni's
correction of Student's t), because a reader looks for the largest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from tuning.reporting.statistics.bootstrap import Interval

CONFIDENCE = 0.95


@dataclass(frozen=True)
class ChoiceEffect:
    """One choice of one parameter.

    trials: with it. mean: of their values. effect: by how much the choice is better than the mean of the parameter's
        choices, the other parameters being equal; None where the trials cannot tell it from another parameter's.
    interval: of `effect`, simultaneous over all; None with too few trials.
    """

    parameter: str
    choice: str
    trials: int
    mean: float
    effect: float | None
    interval: Interval | None


def effects(
    trials: Sequence[Mapping[str, Any]], values: Sequence[float], names: Sequence[str], lower: bool = False
) -> list[ChoiceEffect]:
    """The effects of the parameters `names`, in that order; choices best first.

    trials: the parameters of each trial; all have the parameters `names`. values: the objective of each.
    lower: whether smaller values are better. Parameters with one choice in all trials are left out.
    """
    told = [name for name in names if len({str(trial[name]) for trial in trials}) > 1]
    y = np.asarray(values, float) * (-1 if lower else 1)
    columns, blocks = [np.ones(len(y))], {}
    for name in told:
        choices = sorted({str(trial[name]) for trial in trials})
        has = np.array([[str(trial[name]) == choice for choice in choices] for trial in trials], float)
        # effects that sum to 0: the last choice is minus the sum of the others
        blocks[name] = choices, has, range(len(columns), len(columns) + len(choices) - 1)
        columns += list((has[:, :-1] - has[:, -1:]).T)
    design = np.stack(columns, 1)
    fitted, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    left = len(y) - rank
    inverse = np.linalg.pinv(design.T @ design)
    determined = inverse @ (design.T @ design)  # the identity where the trials determine an effect
    residual = y - design @ fitted
    variance = float(residual @ residual) / left if left > 0 else None
    count = sum(len(choices) for choices, _, _ in blocks.values())
    bound = float(stats.t.ppf(1 - (1 - CONFIDENCE) / 2 / max(count, 1), left)) if left > 0 else 0.0
    found = []
    for name, (choices, has, places) in blocks.items():
        of_parameter = []
        for i, choice in enumerate(choices):
            contrast = np.zeros(design.shape[1])
            contrast[list(places)] = -1.0 if i == len(choices) - 1 else 0.0
            if i < len(choices) - 1:
                contrast[places[i]] = 1.0
            known = bool(np.allclose(contrast @ determined, contrast, atol=1e-6))
            effect = float(contrast @ fitted) if known else None
            interval = None
            if effect is not None and variance is not None:
                half = bound * float(np.sqrt(variance * (contrast @ inverse @ contrast)))
                interval = Interval(effect, effect - half, effect + half)
            mean = float(np.mean([value for value, one in zip(values, has[:, i], strict=True) if one]))
            of_parameter.append(ChoiceEffect(name, choice, int(has[:, i].sum()), mean, effect, interval))
        found += sorted(of_parameter, key=lambda each: -np.inf if each.effect is None else each.effect)[::-1]
    return found
