"""TPE: proposes the next trial by Optuna's TPE over the trials so far. A proposal depends on them and the seed alone.

TPE runs over a study in memory that holds no more than a few hundred trials, so that a proposal takes as long after
ten thousand trials as after five hundred, and so that trials of other studies can teach it.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from trainers.objective import Objective
from tuning.search.sampler import Question, register
from tuning.study.proposal import Proposal
from tuning.study.trial_record import ENDED, RUNG, Rung

# trials that TPE sees: the best ones, and the latest; it takes at most 25 as good, and more of the others add little
BEST, LATEST = 100, 300


class _Told(FrozenTrial):
    """A trial as TPE is told of it, which the storage takes as it is: to copy hundreds takes as long as a suggestion."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Told:
        return copy.copy(self)


class TPESampler:
    """Learns of trials as they change, and proposes.

    startup_trials: so many ended trials are needed before TPE models any; until then it draws at random.
    """

    def __init__(self, question: Question, startup_trials: int = 8) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._question = question
        self._objective = question.objective
        self._startup_trials = startup_trials
        self._trials: dict[int, FrozenTrial] = {}
        self._study: optuna.Study | None = None
        self._memory = InMemoryStorage()
        self._places: dict[int, int] = {}  # in memory, by the trial's own number
        self._told: dict[int, FrozenTrial] = {}  # what TPE is told of each, made once

    def learn(self, trial: FrozenTrial) -> None:
        """Take in a trial as it is now: running, ended, or paused. Failures teach nothing."""
        fitted = self._question.fit(trial)
        if fitted is None:
            return
        trial = self._trials[trial.number] = fitted
        self._told.pop(trial.number, None)
        if self._study is None:
            return
        if trial.number not in self._places:
            if trial.number < next(reversed(self._places), trial.number):
                self._study = None  # TPE is told of trials by number, in whatever order they are learned
            else:
                self._add(trial)
        elif self._memory.get_trial(self._places[trial.number]).state.is_finished():
            self._study = None  # it waited, and was promoted: what TPE was told no longer holds
        elif trial.state.is_finished():
            place = self._places[trial.number]
            told = merits(trial, self._objective)
            for step, value in told.items():
                self._memory.set_trial_intermediate_value(place, step, value)
            self._memory.set_trial_state_values(place, trial.state, _merit(trial, told, self._objective))

    def propose(self, number: int, fixed: Mapping[str, Any] | None = None) -> Proposal:
        """What the trial `number` should be; with `fixed`, the values that it is to have, where they are asked.

        The trial that is made of it must be given to `learn`. Raises what the space raises.
        """
        study = self._recent()
        study.sampler = self._sampler(number)
        if fixed:
            study.enqueue_trial(dict(fixed))
        trial = study.ask()
        try:
            recipe = self._question.suggest(trial)
        finally:
            self._memory.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        return Proposal(recipe, dict(trial.params), dict(trial.distributions))

    def _recent(self) -> optuna.Study:
        if self._study is None or len(self._places) > 1.5 * (BEST + LATEST):
            self._memory = InMemoryStorage()
            self._study = optuna.create_study(storage=self._memory, direction="maximize")
            self._places = {}
            self._trials = {trial.number: trial for trial in chosen(self._trials.values(), self._objective)}
            self._told = {number: told for number, told in self._told.items() if number in self._trials}
            for trial in self._trials.values():
                self._add(trial)
        return self._study

    def _add(self, trial: FrozenTrial) -> None:
        assert self._study is not None
        if trial.state == TrialState.FAIL:
            return
        if trial.number not in self._told:
            self._told[trial.number] = as_told(trial, self._objective)
        self._places[trial.number] = self._memory.get_n_trials(self._study._study_id)
        self._memory.create_new_trial(self._study._study_id, self._told[trial.number])

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(
                seed=self._question.seed_of(number),
                n_startup_trials=self._startup_trials,
                multivariate=True,
                group=True,
                constant_liar=True,
            )


def as_told(trial: FrozenTrial, objective: Objective) -> FrozenTrial:
    """What TPE is told of a trial."""
    state = trial.state if trial.state in ENDED else TrialState.RUNNING
    told = merits(trial, objective) if state in ENDED else {}
    return _Told(
        number=-1,  # the storage gives it its own
        state=state,
        value=None,
        values=_merit(trial, told, objective),
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values=told,
        trial_id=-1,
    )


def merits(trial: FrozenTrial, objective: Objective) -> dict[int, float]:
    """What TPE is told of an ended trial, by step: a number in the order in which the scheduler ranks, ties broken."""
    found = {}
    for step, value in trial.intermediate_values.items():
        rung = trial.user_attrs.get(f"{RUNG}{step}")  # none in a trial that MLflow knew
        score = Rung.from_dict(rung, objective).score if rung else objective.of_value(value)
        found[step] = score.merit
    return found


def _merit(trial: FrozenTrial, told: Mapping[int, float], objective: Objective) -> list[float] | None:
    if told:
        return [told[max(told)]]
    # known from elsewhere, with its final value alone
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return [objective.of_value(trial.value).merit]
    return None


def chosen(trials: Iterable[FrozenTrial], objective: Objective) -> list[FrozenTrial]:
    """Those that TPE should see: the running, the best and the latest, by number."""
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
