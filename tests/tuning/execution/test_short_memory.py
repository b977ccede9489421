"""Where the memory does not hold all trials at once, fewer train: none fails for what another needed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray import cloudpickle
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial
from searches import search_of

from tuning.execution import ray_scheduler
from tuning.execution.machines.at_once import AtOnce
from tuning.execution.ray_scheduler import NO_MEMORY, StudyScheduler
from tuning.execution.ray_searcher import StudySearcher
from tuning.study.step_result import StepResult

FULL = "Task was killed due to the node running low on memory.\nMemory on the node was 22.4GB / 23.6GB"


def test_one_trial_fewer_trains_after_each_that_the_memory_did_not_hold_and_at_least_one():
    at_once = AtOnce(lambda: 4)
    assert at_once() == 4
    assert at_once.lower(running=4)
    assert at_once() == 3
    assert at_once.lower(running=4)  # of which one was lost before, and is not yet taken out
    assert at_once() == 2
    assert at_once.lower(running=2)
    assert not at_once.lower(running=1)
    assert at_once() == 1


def test_no_more_train_than_there_are_workers_now():
    room = [8]
    at_once = AtOnce(lambda: room[0])
    assert at_once.lower(running=6)
    assert at_once() == 5
    room[0] = 2
    assert at_once() == 2


class Engine:
    """What Ray Tune does with the trials of a search with two workers; its errors are given here."""

    def __init__(self, search, tmp_path) -> None:
        at_once = AtOnce(lambda: 2)
        self.searcher, self.scheduler = StudySearcher(search, at_once), StudyScheduler(search, at_once)
        self.trials = {}
        self._file = tmp_path / "error.pkl"

    def begin(self) -> int | None:
        """The number of a trial that is proposed; None if none may begin."""
        config = self.searcher.suggest("")
        if config is None:
            return None
        trial = SimpleNamespace(
            config=config, status=Trial.RUNNING, pickled_error_file=None, set_config=lambda _: None
        )
        self.scheduler.on_trial_add(self, trial)
        self.trials[number := config["assignment"]["number"]] = trial
        return number

    def lose(self, number: int, said: str) -> None:
        """Its worker dies; Ray starts it again, unless it is stopped."""
        trial = self.trials[number]
        self._file.write_bytes(cloudpickle.dumps(RayActorError(error_msg=said)))
        trial.pickled_error_file = str(self._file)
        self.scheduler.on_trial_error(self, trial)
        self.scheduler.on_trial_add(self, trial)

    def stop_trial(self, trial) -> None:
        trial.status = Trial.TERMINATED


@pytest.fixture
def engine(open_study, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_scheduler, "lost_machine", lambda *_: "")  # it asks Ray
    return Engine(search_of(open_study(), 4), tmp_path)


def test_a_trial_that_the_memory_did_not_hold_waits_until_another_has_ended(engine):
    search = engine.searcher._search
    first, second = engine.begin(), engine.begin()
    engine.lose(second, FULL)
    record = search.study.record(second)
    assert engine.trials[second].status == Trial.TERMINATED
    assert record.verdict.reason.startswith(
        "the machine's memory was nearly full, so from now on at most 1 at a time"
    )
    assert not record.verdict.final
    assert engine.begin() is None
    search.report(StepResult(first, 5, "failed", reason="diverged"))
    assert engine.begin() == second
    assert engine.begin() is None


def test_a_trial_that_needs_more_than_there_is_alone_fails_after_three_times(engine):
    search = engine.searcher._search
    first, second = engine.begin(), engine.begin()
    engine.lose(second, FULL)
    for _ in range(2):
        engine.lose(first, FULL)
        assert search.study.record(first).state == "running"
    engine.lose(first, FULL)
    assert search.study.record(first).state == "failed"
    assert search.study.record(first).verdict.reason.startswith(NO_MEMORY)


def test_another_death_lowers_nothing(engine):
    first, second = engine.begin(), engine.begin()
    engine.lose(second, "The actor died unexpectedly")
    assert engine.trials[second].status == Trial.RUNNING
    assert engine.scheduler._at_once() == 2
    assert first != second
