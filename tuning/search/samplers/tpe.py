"""TPESampler: proposes trials with Optuna's TPE, fitted on the results of one rung.

It is the deepest rung that enough trials have reached, as in BOHB (Falkner, Klein and Hutter, "BOHB: Robust and
Efficient Hyperparameter Optimization at Scale", ICML 2018): what trials have there says more about their ends than what
they had before. As in BOHB, one trial in three is proposed at random, since the first good ones may be few and alike. A
proposal depends only on the trials so far, the seed and its number.
"""

from __future__ import annotations

import copy
import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from trainers import model as models
from trainers import score_order
from trainers.objective import Objective, Score
from trainers.recipe import upgraded
from tuning.search.sampler import SamplerContext, register
from tuning.search.samplers.groups import GroupedTPE
from tuning.study import pareto
from tuning.study.proposal import Proposal
from tuning.study.trial_record import RECIPE, RUNG, Rung

# a search of nine trials should learn from its own results: over recorded curves (tests/benchmarks/efficiency.py), its
# best was .236 with 4, .215 with 8 and .202 at random, with a standard error of about .03 (24 seeds)
STARTUP_TRIALS = 4
ENOUGH = 9  # trials at a rung to fit TPE on it
AT_RANDOM = 3  # one proposal in so many is at random (tests/benchmarks/taskset)
# the share of the rung's trials that count as good, and the largest number of them
GOOD, MOST_GOOD = 0.15, 15
# Optuna's TPE takes one in so many trials as good, so it is shown so many for each good one
OPTUNAS_SHARE = 10
LATEST = MOST_GOOD * OPTUNAS_SHARE  # the most ended trials that TPE is shown: its time grows with them


class _ShownTrial(FrozenTrial):
    """A trial that Optuna's storage copies shallowly: deep copies of hundreds take as long as a suggestion."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _ShownTrial:
        return copy.copy(self)


@dataclass(frozen=True)
class _Parameters:
    """A trial's parameters: values and distributions by name."""

    values: dict[str, Any]
    distributions: dict[str, BaseDistribution]

    @classmethod
    def of(cls, trial: FrozenTrial) -> _Parameters:
        """Those of a trial, which a packed one (tuning/study/storage/packing.py) decompresses each time."""
        return cls(trial.params, trial.distributions)


class TPESampler:
    """Multivariate TPE with constant liar, so that running trials are taken into account.

    startup_trials: number of ended trials before which proposals are random.
    """

    def __init__(self, context: SamplerContext, startup_trials: int = STARTUP_TRIALS) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._context = context
        self._startup_trials = startup_trials
        self._trials: dict[int, FrozenTrial] = {}
        self._parameters: dict[int, _Parameters] = {}  # of those shown lately: reading them takes a while
        self._scores: dict[int, dict[int, Score]] = {}  # of all trials learned, by step and number

    def learn(self, trial: FrozenTrial) -> None:
        """Take in the current state of a trial: running, ended or paused.

        One that failed is a bad one, whatever it had before: by NaN, or too large for the memory, its recipe was why.
        """
        adapted = self._context.adapt(trial)
        if adapted is None:
            return
        failed = adapted.state == TrialState.FAIL
        self._trials[trial.number] = adapted
        self._parameters.pop(trial.number, None)
        for scores in self._scores.values() if failed else ():
            scores.pop(trial.number, None)
        found = {} if failed else scores_of(adapted, self._context.objective)
        for step, score in found.items():
            self._scores.setdefault(step, {})[trial.number] = score
        if len(self._trials) > 2 * max(1, len(self._scores)) * (MOST_GOOD + LATEST):
            self._forget()

    def propose(self, number: int, fixed: Mapping[str, Any] | None = None) -> Proposal:
        """A proposal for the trial `number`.

        fixed: values for some parameters; those that the space does not sample are ignored.
        The new trial must be passed to `learn`. Raises what the space raises.
        """
        memory = InMemoryStorage()
        shown = [] if number % AT_RANDOM == AT_RANDOM - 1 else self._shown()
        seed = self._context.seed_of(number)
        sampler = GroupedTPE(shown, seed=seed, n_startup_trials=self._startup_trials)
        # with several objectives, Optuna takes those as good that share the hypervolume (Ozaki et al., GECCO 2020)
        directions = [StudyDirection.MAXIMIZE] * (1 + len(self._context.objective.also))
        study = optuna.create_study(storage=memory, sampler=sampler, directions=directions)
        for trial in shown:
            memory.create_new_trial(study._study_id, trial)
        if fixed:
            study.enqueue_trial(dict(fixed))
        asked = study.ask()
        recipe = self._context.suggest(asked)
        return Proposal(recipe, dict(asked.params), dict(asked.distributions))

    def _shown(self) -> list[FrozenTrial]:
        """The trials as TPE sees them, by number: good ones, others that ended, and running ones.

        Good are the best at the chosen rung. The others are those that have reached it, the latest first, then those
        that have not.
        """
        scores = self._scores.get(self._chosen_rung(), {})
        own = compared(scores, self._context.objective)
        merits, values = by_front(own, scores), all_values(own, scores)
        count = min(MOST_GOOD, math.ceil(GOOD * len(merits)))
        good = _best(merits, count)
        elsewhere = [n for n, trial in self._trials.items() if n not in merits and trial.state.is_finished()]
        others = [*sorted(merits.keys() - set(good), reverse=True), *sorted(elsewhere, reverse=True)]
        running = [
            n for n, trial in self._trials.items() if n not in merits and not trial.state.is_finished()
        ]
        numbers = {*good, *others[: max(1, count) * OPTUNAS_SHARE - count], *running}
        shown = {n: self._parameters.get(n) or _Parameters.of(self._trials[n]) for n in sorted(numbers)}
        self._parameters = shown
        return [_shown_trial(self._trials[n], values.get(n), found) for n, found in shown.items()]

    def _chosen_rung(self) -> int:
        """The step of the deepest rung that enough trials have reached; that of most trials while none has."""
        enough = [step for step, scores in self._scores.items() if len(scores) >= ENOUGH]
        return max(
            enough, default=max(self._scores, key=lambda step: (len(self._scores[step]), step), default=0)
        )

    def _forget(self) -> None:
        """Drop the ended trials that will not be shown again, so that memory stays bounded."""
        kept = {n for n, trial in self._trials.items() if not trial.state.is_finished()}
        last: dict[int, list[int]] = {}
        for number, trial in self._trials.items():
            last.setdefault(max(trial.intermediate_values, default=0), []).append(number)
        for numbers in last.values():
            kept.update(heapq.nlargest(LATEST, numbers))
        for scores in self._scores.values():
            kept.update(heapq.nlargest(LATEST, scores))
            of_loss: dict[str, list[int]] = {}
            for number, score in scores.items():
                of_loss.setdefault(score.loss, []).append(number)
            for numbers in of_loss.values():
                kept.update(heapq.nlargest(MOST_GOOD, numbers, key=lambda n: (scores[n].key, -n)))
            if self._context.objective.also:  # by whose fronts others are good
                kept.update(_best(by_front(compared(scores, self._context.objective), scores), MOST_GOOD))
        self._trials = {number: trial for number, trial in self._trials.items() if number in kept}


def _best(merits: Mapping[int, float], count: int) -> list[int]:
    """The trials with the highest merits; of equal ones the earlier."""
    return heapq.nlargest(count, merits, key=lambda number: (merits[number], -number))


def compared(scores: Mapping[int, Score], objective: Objective) -> dict[int, float]:
    """Merits by trial of scores at one rung, which compare between losses (trainers.score_order)."""
    if len({score.loss for score in scores.values()}) < 2:
        return {number: score.merit for number, score in scores.items()}
    keys = score_order.keys(list(scores.values()))
    return {number: objective.merit(key) for number, key in zip(scores, keys, strict=True)}


def by_front(merits: dict[int, float], scores: Mapping[int, Score]) -> dict[int, float]:
    """With several objectives, merits that place whatever is on the Pareto front first, then the next front.

    As multi-objective TPE splits trials (Ozaki et al., GECCO 2020); within a front, the least crowded first, so that the
    good ones are spread over it. The ends of a front come by the first objective.
    """
    if not any(score.also for score in scores.values()):
        return merits
    numbers = sorted(scores)  # whatever the order in which they were learned
    points = np.array([(scores[number].key[0], *scores[number].also) for number in numbers])
    level, apart = pareto.fronts(points), np.zeros(len(points))
    for each in np.unique(level):
        apart[level == each] = pareto.crowding(points[level == each])
    rank = {number: (-level[at], apart[at]) for at, number in enumerate(numbers)}
    order = sorted(merits, key=lambda number: (*rank[number], merits[number], -number))
    return {number: float(place) for place, number in enumerate(order)}


def all_values(merits: Mapping[int, float], scores: Mapping[int, Score]) -> dict[int, tuple[float, ...]]:
    """The values of all objectives of each trial, higher is better; what was not measured is a little worse than all."""
    if not any(score.also for score in scores.values()):
        return {number: (merit,) for number, merit in merits.items()}
    columns = np.array([(merits[number], *scores[number].also) for number in merits])
    for column in columns.T:
        known = column[np.isfinite(column)]
        column[~np.isfinite(column)] = (known.min() if len(known) else 0.0) - 1.0
    return {number: tuple(map(float, row)) for number, row in zip(merits, columns, strict=True)}


def scores_of(trial: FrozenTrial, objective: Objective) -> dict[int, Score]:
    """The trial's scores by step, as the scheduler compares them."""
    recipe = upgraded(trial.user_attrs.get(RECIPE, {}))
    model, loss = str(recipe.get("model", "")), models.loss_of(recipe)
    found = {}
    for step, value in trial.intermediate_values.items():
        rung = trial.user_attrs.get(f"{RUNG}{step}")  # trials read from MLflow have none
        score = (
            Rung.from_dict(rung, objective, recipe).score if rung else objective.of_value(value, model, loss)
        )
        found[step] = score if score.also else replace(score, also=(-math.inf,) * len(objective.also))
    return found


def _shown_trial(
    trial: FrozenTrial, values: tuple[float, ...] | None, parameters: _Parameters
) -> FrozenTrial:
    """The trial as TPE sees it. values: of the objectives at the chosen rung; None if it has not reached it."""
    ended = TrialState.PRUNED if trial.state.is_finished() else TrialState.RUNNING
    return _ShownTrial(
        number=-1,  # assigned by the storage
        state=ended if values is None else TrialState.COMPLETE,
        value=None,
        values=values,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params=parameters.values,
        distributions=parameters.distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=-1,
    )


register("tpe", TPESampler)
