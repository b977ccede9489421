"""Bandit: chooses a population's changed numbers by what such numbers have gained so far, instead of at random: PB2.

Parker-Holder et al., "Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits" (2020): a
Gaussian process predicts, from a trial's numbers and the time, how much the objective rises until the next rung; the
numbers with the highest upper confidence bound are chosen. The kernel is the paper's, a squared exponential that forgets
with time, from Ray Tune; the process is scikit-learn's. Choices and switches change as in population based training.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial

from search_spaces.fixed_trials import FixedTrial
from search_spaces.parts.parameters import Trial
from trainers.recipe import Recipe
from tuning.search.population.exploring import Explorer, kept
from tuning.search.population.gains import Gain
from tuning.study.proposal import Proposal

FEWEST = 4  # gains that are known; with fewer, numbers change at random
CANDIDATES = 512  # half of them anywhere, half near the numbers of the trial whose weights are taken
NEAR = 0.15  # standard deviation of the latter, as a share of the range
# the weight of the uncertainty at the n-th decision is the root of 0.2 log(0.4 n), as in Ray Tune; at least this
LEAST_WEIGHT = 0.2
NOISE = 0.1  # variance of a standardised gain


class Bandit(Explorer):
    """An Explorer that chooses numbers by what has been gained. Deterministic as Explorer."""

    def explore(
        self,
        number: int,
        trial: FrozenTrial,
        recipe: Mapping[str, Any],
        known: Sequence[Gain] = (),
        now: int = 0,
    ) -> Proposal:
        """See Explorer.explore."""
        changed = super().explore(number, trial, recipe)
        all_of_them = {
            name: each
            for name, each in changed.distributions.items()
            if isinstance(each, FloatDistribution) and each.high > each.low
        }
        spans, rows = _shared(all_of_them, known)
        if not spans:
            return changed
        draw = np.random.default_rng(random.Random(f"{self.seed} {number} bandit").getrandbits(64))
        near = [_unit(changed.params[name], span) for name, span in spans.items()]
        chosen = _chosen(rows, now, spans, np.array(near), draw)
        numbers = {name: _value(unit, span) for (name, span), unit in zip(spans.items(), chosen, strict=True)}
        found = FixedTrial({**changed.params, **numbers})
        made = self.suggest(found)
        if kept(made.to_dict()) != kept(recipe):
            return changed
        return Proposal(made, found.params, found.distributions)


def explorer_of(scheduler: str, suggest: Callable[[Trial], Recipe], seed: int) -> Explorer:
    """The explorer that goes with a scheduler, by its name. suggest, seed: as for Explorer."""
    return (Bandit if scheduler == "pb2" else Explorer)(suggest, seed)


def _shared(
    spans: Mapping[str, FloatDistribution], known: Sequence[Gain]
) -> tuple[Mapping[str, FloatDistribution], Sequence[Gain]]:
    """The numbers of which enough is known, and the gains of the trials that have them all.

    Trials differ in which numbers they have: an augmentation's, say, only where that is switched on.
    """
    left = dict(spans)
    while left:
        rows = [each for each in known if all(name in each.params for name in left)]
        if sum(each.merit is not None for each in rows) >= max(FEWEST, len(known) / 2):
            return left, rows
        rarest = min(left, key=lambda name: sum(name in each.params for each in known))
        del left[rarest]
    return {}, ()


def _chosen(
    rows: Sequence[Gain],
    now: int,
    spans: Mapping[str, FloatDistribution],
    near: np.ndarray,
    draw: np.random.Generator,
) -> np.ndarray:
    """The numbers, (D,) of 0 to 1 in the order of `spans`, with the highest upper confidence bound at the step `now`."""
    from ray.tune.schedulers.pb2_utils import TV_SquaredExp
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor

    begun = sorted({each.began for each in rows} | {now})
    place = {step: i for i, step in enumerate(begun)}  # time in rungs

    def points(some: Sequence[Gain]) -> np.ndarray:
        return np.array([
            [place[each.began], *(_unit(each.params[name], span) for name, span in spans.items())]
            for each in some
        ])  # fmt: skip

    ended = [each for each in rows if each.merit is not None]
    merits = np.array([each.merit for each in ended], float)
    times = np.array([each.began for each in ended])
    for step in begun:  # later rungs gain less, whatever the numbers
        here = times == step
        if here.any():
            merits[here] -= merits[here].mean()
    merits /= merits.std() or 1.0
    process = GaussianProcessRegressor(TV_SquaredExp(), alpha=NOISE, random_state=0)
    with warnings.catch_warnings():  # a kernel at the end of its range is no worse
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(points(ended), merits)
    if running := [each for each in rows if each.merit is None]:
        # those that train are taken to gain what is expected, so that the same is not tried twice
        together = np.concatenate([points(ended), points(running)])
        guessed = np.concatenate([merits, process.predict(points(running))])
        process = GaussianProcessRegressor(process.kernel_, alpha=NOISE, optimizer=None).fit(
            together, guessed
        )
    count = CANDIDATES // 2
    anywhere = draw.random((count, len(spans)))
    about = np.clip(near + draw.normal(0, NEAR, (count, len(spans))), 0, 1)
    candidates = np.concatenate([anywhere, about])
    times_now = np.full((len(candidates), 1), place[now])
    mean, deviation = process.predict(np.hstack([times_now, candidates]), return_std=True)
    weight = math.sqrt(max(LEAST_WEIGHT, 0.2 * math.log(0.4 * len(rows))))
    best: np.ndarray = candidates[int(np.argmax(mean + weight * deviation))]
    return best


def _unit(value: float, span: FloatDistribution) -> float:
    """The value as a share of its range, on a logarithmic scale if it has one."""
    if span.log:
        return math.log(value / span.low) / math.log(span.high / span.low)
    return (value - span.low) / (span.high - span.low)


def _value(unit: float, span: FloatDistribution) -> float:
    """The inverse of `_unit`."""
    found = (
        span.low * (span.high / span.low) ** unit if span.log else span.low + unit * (span.high - span.low)
    )
    return float(min(max(found, span.low), span.high))
