"""Roster: the trials of a search by what they are doing, and its idle workers."""

from __future__ import annotations

from tuning.search.history import History
from tuning.search.idle_workers import IdleWorkers
from tuning.search.scheduler import Scheduler
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_record import TrialRecord
from tuning.study.verdict import Verdict, interrupted


class Roster:
    """What each trial of a search is doing; each is in one of these at a time.

    running: the latest message by trial; None before the first. waiting: for promotion; the step of the rung by trial.
    interrupted: to resume; the step of the last rung by trial, 0 for none.
    to_continue: shorter trials to continue as new ones with more steps. not_counted: see History.
    ended: number of trials with a final verdict. completed: those that took all steps.
    idle: the workers that have no trial.
    """

    def __init__(self, earlier: History) -> None:
        self.running: dict[int, StepResult | None] = {}
        self.waiting: dict[int, int] = {}
        self.interrupted = {record.number: record.step for record in earlier.interrupted}
        self.to_continue = earlier.to_continue
        self.not_counted = earlier.not_counted
        self.ended = earlier.ended
        self.completed = earlier.completed
        self.idle = IdleWorkers()
        for record in earlier.interrupted:
            self.idle.add_trial(record.number, record.recipe)

    def assign(self, record: TrialRecord) -> None:
        """A worker was given the trial."""
        self.running.setdefault(record.number, None)
        self.idle.assign(record.number, record.recipe)

    def release(self, number: int) -> None:
        """The trial's worker is idle, unless it is dead or never had a message."""
        if self.running.pop(number) is not None:
            self.idle.release(number)

    def withdraw(self, number: int) -> int:
        """A waiting trial is to end: it counts as running, without a worker. Returns the step at which it waited."""
        self.running[number] = None
        return self.waiting.pop(number)

    def worker_died(self, number: int) -> int:
        """The trial's worker is dead, and so will not be idle. Returns the step of its latest message, 0 for none."""
        latest, self.running[number] = self.running[number], None
        return latest.step if latest else 0

    def withdraw_all(self) -> None:
        """All waiting trials are to end."""
        for number in list(self.waiting):
            self.withdraw(number)

    def put_back(self, record: TrialRecord, why: str) -> Verdict:
        """The trial has lost its worker, and resumes with another. Returns its verdict until then."""
        self.worker_died(record.number)
        self.interrupted[record.number] = record.step
        return interrupted(record.step, why)

    def next_interrupted(self) -> int:
        """The trial to resume first: one whose graph the next worker has, if there is one."""
        return next(filter(self.idle.has_graph_of, self.interrupted), next(iter(self.interrupted)))

    def with_graph(self) -> set[int]:
        """The waiting trials whose graph the next worker has."""
        return set(filter(self.idle.has_graph_of, self.waiting))

    def may_begin(self, trials: int | None) -> bool:
        """Whether a search of so many trials may begin another one; None for any number."""
        begun = {*self.running, *self.waiting, *self.interrupted} - self.not_counted
        return trials is None or self.ended + len(begun) < trials

    def steps(self, study: Study) -> dict[int, int]:
        """The present step of each running trial."""
        return {
            number: latest.step if latest else study.record(number).step
            for number, latest in self.running.items()
        }

    def settled(self, study: Study, scheduler: Scheduler) -> list[TrialRecord]:
        """The interrupted trials for which the decision at the last rung is due; they are taken out, and running."""
        found = []
        for number, step in list(self.interrupted.items()):
            rungs = study.record(number).rungs
            if rungs and (rungs[-1].decision != "continue" or step >= scheduler.rungs[-1]):
                del self.interrupted[number]
                self.running[number] = None
                found.append(study.resume(number))
        return found
