"""TPESampler: proposes trials with Optuna's TPE. A proposal depends only on the trials so far and the seed.

TPE works on an in-memory study of at most a few hundred trials, so that a proposal takes no longer after ten thousand
trials than after five hundred, and so that trials of other studies can be added.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from trainers import score_order
from trainers.objective import Objective, Score
from trainers.recipe import upgraded
from tuning.search.sampler import SamplerContext, register
from tuning.study.proposal import Proposal
from tuning.study.trial_record import ENDED, RECIPE, RUNG, Rung

# number of trials that TPE sees, the best and the latest: it takes at most 25 as good, and more of the rest add little
BEST, LATEST = 100, 300
# a search of nine trials should learn from its own results: over recorded curves (tests/benchmarks/efficiency.py), its
# best was .236 with 4, .215 with 8 and .202 at random, with a standard error of about .03 (24 seeds)
STARTUP_TRIALS = 4


class _TPETrial(FrozenTrial):
    """A trial that Optuna's storage copies shallowly: deep copies of hundreds take as long as a suggestion."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _TPETrial:
        return copy.copy(self)


class TPESampler:
    """Multivariate TPE with constant liar, so that running trials are taken into account.

    startup_trials: number of ended trials before which proposals are random.
    """

    def __init__(self, context: SamplerContext, startup_trials: int = STARTUP_TRIALS) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._context = context
        self._objective = context.objective
        self._startup_trials = startup_trials
        self._trials: dict[int, FrozenTrial] = {}
        self._scores: dict[int, dict[int, Score]] = {}  # of all trials learned, by number and step
        self._study: optuna.Study | None = None
        self._models: set[str] = set()
        self._memory = InMemoryStorage()
        self._memory_ids: dict[int, int] = {}  # ids in self._memory, by trial number
        self._compared: dict[int, dict[int, float]] = {}  # merits of trials of several models
        self._tpe_trials: dict[int, FrozenTrial] = {}  # cache of tpe_trial(), by trial number

    def learn(self, trial: FrozenTrial) -> None:
        """Take in the current state of a trial: running, ended or paused. Failed trials are ignored."""
        adapted = self._context.adapt(trial)
        if adapted is None:
            return
        trial = self._trials[trial.number] = adapted
        self._scores[trial.number] = scores_of(trial, self._objective)
        self._models |= {score.model for score in self._scores[trial.number].values()}
        self._tpe_trials.pop(trial.number, None)
        if len(self._models) > 1:
            self._study = None  # a new score of one model may move those of all others at its step
        if self._study is None:
            return
        if trial.number not in self._memory_ids:
            if trial.number < next(reversed(self._memory_ids), trial.number):
                self._study = (
                    None  # TPE sees trials in the order of their numbers, whatever order they are learned in
                )
            else:
                self._add(trial)
        elif self._memory.get_trial(self._memory_ids[trial.number]).state.is_finished():
            self._study = None  # a paused trial was promoted: rebuild, as a finished trial cannot be changed
        elif trial.state.is_finished():
            memory_id = self._memory_ids[trial.number]
            values = self._values(trial)
            for step, value in values.items():
                self._memory.set_trial_intermediate_value(memory_id, step, value)
            self._memory.set_trial_state_values(
                memory_id, trial.state, _final_value(trial, values, self._objective)
            )

    def propose(self, number: int, fixed: Mapping[str, Any] | None = None) -> Proposal:
        """A proposal for the trial `number`.

        fixed: values for some parameters; those that the space does not sample are ignored.
        The new trial must be passed to `learn`. Raises what the space raises.
        """
        study = self._current_study()
        study.sampler = self._sampler(number)
        if fixed:
            study.enqueue_trial(dict(fixed))
        trial = study.ask()
        try:
            recipe = self._context.suggest(trial)
        finally:
            self._memory.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        return Proposal(recipe, dict(trial.params), dict(trial.distributions))

    def _current_study(self) -> optuna.Study:
        if self._study is None or len(self._memory_ids) > 1.5 * (BEST + LATEST):
            self._memory = InMemoryStorage()
            self._study = optuna.create_study(storage=self._memory, direction="maximize")
            self._memory_ids = {}
            self._trials = {
                trial.number: trial for trial in most_informative(self._trials.values(), self._objective)
            }
            self._tpe_trials = {
                number: trial
                for number, trial in self._tpe_trials.items()
                if number in self._trials and len(self._models) < 2
            }
            if len(self._models) > 1:
                self._compared = compared(self._scores, self._objective)
            for trial in self._trials.values():
                self._add(trial)
        return self._study

    def _add(self, trial: FrozenTrial) -> None:
        assert self._study is not None
        if trial.state == TrialState.FAIL:
            return
        if trial.number not in self._tpe_trials:
            values = self._values(trial) if trial.state in ENDED else {}
            self._tpe_trials[trial.number] = tpe_trial(trial, values, self._objective)
        self._memory_ids[trial.number] = self._memory.get_n_trials(self._study._study_id)
        self._memory.create_new_trial(self._study._study_id, self._tpe_trials[trial.number])

    def _values(self, trial: FrozenTrial) -> dict[int, float]:
        """A value by step, higher is better, that orders trials as the scheduler does, with ties broken."""
        if len(self._models) > 1:
            return self._compared[trial.number]
        return {step: score.merit for step, score in self._scores[trial.number].items()}

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(
                seed=self._context.seed_of(number),
                n_startup_trials=self._startup_trials,
                multivariate=True,
                group=True,
                constant_liar=True,
            )


def tpe_trial(trial: FrozenTrial, values: Mapping[int, float], objective: Objective) -> FrozenTrial:
    """The trial as TPE sees it: running, or ended with these values by step."""
    return _TPETrial(
        number=-1,  # assigned by the storage
        state=trial.state if trial.state in ENDED else TrialState.RUNNING,
        value=None,
        values=_final_value(trial, values, objective),
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values=dict(values),
        trial_id=-1,
    )


def scores_of(trial: FrozenTrial, objective: Objective) -> dict[int, Score]:
    """The trial's scores by step, as the scheduler compares them."""
    model = str(upgraded(trial.user_attrs.get(RECIPE, {})).get("model", ""))
    found = {}
    for step, value in trial.intermediate_values.items():
        rung = trial.user_attrs.get(f"{RUNG}{step}")  # trials read from MLflow have none
        found[step] = (
            Rung.from_dict(rung, objective, model).score if rung else objective.of_value(value, model)
        )
    return found


def compared(scores: Mapping[int, Mapping[int, Score]], objective: Objective) -> dict[int, dict[int, float]]:
    """Merits by trial and step, which compare between models (trainers.score_order). scores: by trial and step."""
    merits: dict[int, dict[int, float]] = {number: {} for number in scores}
    for step in sorted({step for by_step in scores.values() for step in by_step}):
        there = [number for number, by_step in scores.items() if step in by_step]
        keys = score_order.keys([scores[number][step] for number in there])
        for number, key in zip(there, keys, strict=True):
            merits[number][step] = objective.merit(key)
    return merits


def _final_value(trial: FrozenTrial, values: Mapping[int, float], objective: Objective) -> list[float] | None:
    if values:
        return [values[max(values)]]
    # a trial of another study, of which only the final value is known
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return [objective.of_value(trial.value).merit]
    return None


def most_informative(trials: Iterable[FrozenTrial], objective: Objective) -> list[FrozenTrial]:
    """The trials that TPE should see, by number: the running ones, the best and the latest."""
    known = sorted(trials, key=lambda trial: trial.number)
    ended = [trial for trial in known if trial.state in ENDED]
    good = sorted(ended, key=lambda trial: _rank(trial, objective), reverse=True)[:BEST]
    kept = {trial.number for trial in [*good, *ended[-LATEST:]]}
    return [trial for trial in known if trial.number in kept or not trial.state.is_finished()]


def _rank(trial: FrozenTrial, objective: Objective) -> tuple[bool, int, float]:
    step = max(trial.intermediate_values, default=0)
    value = float("-inf") if trial.value is None else objective.criteria[0].rank(trial.value)
    return trial.state == TrialState.COMPLETE, step, value


register("tpe", TPESampler)
