"""Adapts a search to Ray Tune's TrialScheduler: passes it every result, and returns which trials go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from tuning.execution.machines.at_once import AtOnce
from tuning.execution.machines.deaths import Deaths
from tuning.execution.machines.leaving_out import LeftOut
from tuning.execution.machines.losses import lost_machine
from tuning.execution.ray_searcher import ray_config
from tuning.execution.trainable import RESULT, UNFIT
from tuning.execution.trial_source import TrialSource
from tuning.study.step_result import StepResult

DIED = "its worker process died (out of memory, or killed)"
NO_MEMORY = "its worker process was ended, as the machine's memory was nearly full; fewer --workers need less"
ROOM_SECONDS = (
    10.0  # that a trial waits for a new worker, before it takes the place of one that was proposed later
)
AS_IT_BEGAN = "its worker was lost as it began"
FEWER = "the machine's memory was nearly full, so from now on at most {} at a time; it waits"


def error_of(trial: Trial) -> BaseException | None:
    """Ray's error of the worker that a trial has just lost; None if Ray has kept none.

    Trial.get_pickled_error looks in the experiment's storage, where the file does not come before Ray's next snapshot.
    """
    if trial.pickled_error_file is None or not Path(trial.pickled_error_file).is_file():
        return None
    file = Path(trial.pickled_error_file)
    found: BaseException = cloudpickle.loads(file.read_bytes())
    file.unlink()  # of an error that Ray cannot pickle it writes none, and this one would be taken for it
    return found


def _has_no_room(tune_controller: Any, trial: Trial) -> bool:
    """Whether a worker was asked for the trial, for which no machine has had room so far."""
    controller = tune_controller._tune_controller  # of Ray's wrapper, which would warn
    asked = controller._trial_to_actor.get(trial)
    return asked is not None and not controller._actor_manager.is_actor_started(asked)


class StudyScheduler(TrialScheduler):
    """Passes every result to `search`, which has updated the study before Ray acts on the decision.

    at_once: how many trials may train, as the searcher asks it. cpus, gpus: of each worker.
    """

    def __init__(self, search: TrialSource, at_once: AtOnce, cpus: float = 1, gpus: float = 0) -> None:
        super().__init__()
        self._search = search
        self._at_once = at_once
        self._left_out = LeftOut(cpus, gpus)
        self._address: dict[int, str] = {}  # of the machine that trains a trial
        self._deaths = Deaths()
        self._given_up: dict[int, str] = {}  # why
        self._put_back: dict[int, str] = {}  # why; when Ray adds it again, it is ended
        self._without_worker: dict[int, tuple[Trial, float]] = {}  # since when; the longest first

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Ignored: the search has its own objective."""
        return True

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """CONTINUE or STOP, as the search decides."""
        with self._noted_errors():
            message: StepResult = result[RESULT]
            self._address[message.trial] = result["node_ip"]
            self._left_out.release()
            if unfit := result[UNFIT]:
                self._left_out.add(unfit)
                if self._left_out.everywhere():
                    message = replace(message, kind="halt", reason=unfit.reason)
            if self._search.report(message):
                return "CONTINUE"
            del self._address[message.trial]  # if it goes on, then anywhere
            return "STOP"

    @contextmanager
    def _noted_errors(self) -> Iterator[None]:
        """Within the block, an error is noted as the driver's: Ray raises a different one instead."""
        try:
            yield
        except Exception as error:
            self._search.driver_error = error
            raise

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Of the trials for which the cluster has had no room for a while, the first; None if there is none.

        Ray gives a worker that has become free to the trial that was proposed last, and lets a trial for which it has
        asked for a new worker wait for that one: after the loss of a machine, until the search has no more proposals.
        """
        waiting = {n: each for n, each in self._without_worker.items() if each[0].status == Trial.PENDING}
        self._without_worker = waiting
        long_ago = time.monotonic() - ROOM_SECONDS
        found = (trial for trial, since in waiting.values() if since < long_ago)
        return next((trial for trial in found if _has_no_room(tune_controller, trial)), None)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A trial's worker died. It resumes from its current state, unless that was once too often.

        Ray starts the trial again, with the config that is set here: its own limit of deaths is off, since it would
        count those with a machine too (tuning.execution.engine). But it ends a trial whose worker, which another trial
        has had, dies as it is given this one, after it has called this method for the same death before; the searcher
        then proposes it anew.
        """
        with self._noted_errors():
            self._on_lost_worker(trial)

    def _on_lost_worker(self, trial: Trial) -> None:
        number = trial.config["assignment"]["number"]
        error = error_of(trial)
        ended = trial.status == Trial.PENDING
        if ended and isinstance(error, RayActorError):
            self._search.put_back(number, AS_IT_BEGAN)
            return
        machine = lost_machine(error, self._address.pop(number, None))
        why = NO_MEMORY if "low on memory" in str(error) else DIED
        fewer = why is NO_MEMORY and self._at_once.lower(self._search.live)
        too_many = not fewer and self._deaths.too_many(number, self._saved_step(number), machine)
        record = self._search.lost(number, machine)
        back = FEWER.format(self._at_once()) if fewer else AS_IT_BEGAN
        if not ended:
            trial.set_config(trial.config | ray_config(self._search, record))
            if too_many:
                self._given_up[number] = why
            elif fewer:
                self._put_back[number] = back
        elif too_many:
            self._search.crashed(number, why)
        else:
            self._search.put_back(number, back)

    def _saved_step(self, number: int) -> int:
        """Of the trial's newest checkpoint, which a worker may have uploaded between two rungs."""
        study = self._search.study
        there = 0 if study.stored is None else study.stored.saved_step(number)
        return max(there, study.saved_step(number))

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A trial was proposed by the searcher, or is to be started again: not if its worker has died too often.

        Nor if the memory holds fewer trials than ran: the searcher proposes it anew, when another has ended.
        """
        number = trial.config["assignment"]["number"]
        self._without_worker[number] = trial, time.monotonic()
        for lost, then in (
            (self._given_up, self._search.crashed), (self._put_back, self._search.put_back),
        ):  # fmt: skip
            if number in lost:
                with self._noted_errors():
                    then(number, lost.pop(number))
                tune_controller.stop_trial(trial)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Nothing to do: the trial got its verdict with its last result."""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing to do: the trial is interrupted when the search ends."""

    def debug_string(self) -> str:
        """For Ray's log."""
        return "successive halving of the study"
