"""What the best of many trials would have without the luck of having been chosen on the same images.

The largest of several measured values is too high on average, the more so the more trials are nearly as good ("winner's
curse"). The bootstrap repeats the choice: on each resample another trial may be the best, and what it has there beyond
its own value is luck, which is subtracted. On average over equal trials nothing is left of their lead; a trial that is
the best on every resample keeps its value. The idea is that of BBC-CV (Tsamardinos, Greasidou and Borboudakis,
"Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation", Machine Learning 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuning.reporting.statistics.bootstrap import Bootstrapped


def without_luck(
    measured: Sequence[Bootstrapped], others: Sequence[float] = (), minimize: bool = False, seed: int = 0
) -> float:
    """The value of the best of all these trials, corrected for its having been chosen by it.

    measured: the trials with bootstrapped values, at least one, on the same resamples. others: the values of further
    trials that were chosen from; they are taken to have errors as large as the measured ones. minimize: whether smaller
    is better. seed: of these errors.
    """
    values = np.array([*(each.value for each in measured), *others])  # (T,)
    errors = np.stack([each.resampled - np.nanmean(each.resampled) for each in measured], axis=1)  # (B, M)
    errors = np.nan_to_num(errors)
    if others:
        shared = errors.mean(axis=1, keepdims=True)  # the images are the same, so most of the error is
        own = np.sqrt(np.mean((errors - shared) ** 2) * len(measured) / max(len(measured) - 1, 1))
        drawn = np.random.default_rng(seed).normal(0, own, (len(errors), len(others)))
        errors = np.concatenate([errors, shared + drawn], axis=1)
    again = values + errors
    best = (again.argmin if minimize else again.argmax)(axis=1)
    rows = np.arange(len(errors))
    return float(np.mean(values[best] - errors[rows, best]))
