"""Search: the loop that connects study, sampler and scheduler: proposes trials, judges rungs, gives verdicts.

It does not depend on Ray: tuning.execution adapts it to Ray Tune, tuning.search.simulation runs it on a simulated clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from search_spaces.space import Seed
from tuning.search import history
from tuning.search.callback import Callback, Callbacks
from tuning.search.confirmation import Confirmation
from tuning.search.constraints.served_costs import NO_COSTS, ServedCosts
from tuning.search.judging import Judge
from tuning.search.known import KnownResults
from tuning.search.limits.budget import Budget, Spending
from tuning.search.limits.convergence import Convergence
from tuning.search.limits.meter import Meter
from tuning.search.limits.reserve import Reserve, Stage
from tuning.search.new_trials import NewTrials
from tuning.search.population.exploring import Explorer
from tuning.search.population.forking import Forks
from tuning.search.roster import Roster
from tuning.search.sampler import Sampler, paused_as_pruned
from tuning.search.scheduler import Scheduler
from tuning.study import verdict as verdicts
from tuning.study.fork import Fork
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_record import Rung, TrialRecord


class Search:
    """One run of a study, until `trials` trials have a final verdict, a limit is reached or `stop` is called.

    sampler, scheduler: new ones; they learn the study's earlier trials here.
    trials: in all, earlier runs included; None for any number. callbacks: are called for every event.
    seeds: recipes to propose in order, each once in the life of the study, and not before Seed.after other trials.
    spending: the budget, and what is spent of it; None if only the number of trials is limited.
    known: results of an earlier study, which take the place of training the same recipes again.
    costs: of the networks when they are served; they become metrics of each rung. explorer: of Forks.
    confirm, folds: trainings to end with, of the best trials again (Confirmation); not counted in `trials`.
    worth: gain in the objective for which a training is worth its cost (Convergence); None to use up the budget.

    stop_reason: why `stop` was called; None before. limit_reached: the limit that ended the search; None before.
    fatal_result: the worker's message that no trial can continue. driver_error: an exception in the driver itself.
    """

    def __init__(
        self,
        study: Study,
        sampler: Sampler,
        scheduler: Scheduler,
        trials: int | None,
        seeds: Sequence[Seed] = (),
        callbacks: Sequence[Callback] = (),
        spending: Spending | None = None,
        known: KnownResults | None = None,
        costs: ServedCosts = NO_COSTS,
        confirm: int = 0,
        folds: int = 0,
        worth: float | None = None,
        explorer: Explorer | None = None,
    ) -> None:
        self.study = study
        self.scheduler = scheduler
        self.trials = trials
        self.stop_reason: str | None = None
        self.limit_reached: str | None = None
        self.fatal_result: StepResult | None = None
        self.driver_error: Exception | None = None
        self._callbacks = Callbacks(callbacks)
        self._spending = spending or Spending(Meter(study), Budget(), scheduler.rungs[-1])
        self._failures = history.Failures()
        records = study.records()
        self._judge = Judge(study, scheduler, costs)
        self._known = known or KnownResults()
        self._new_trials = NewTrials(study, sampler, seeds, self._known, records)
        self._confirmation = Confirmation(study, confirm, folds)
        self._convergence = Convergence(study, self._spending, worth)
        self._closed = self._convergence.reached()  # whether nothing is begun any more but repeats
        self._forks = Forks(study, scheduler, explorer)
        earlier = history.of(records, scheduler, folds)
        self._roster = Roster(earlier)
        self._reserve = Reserve(study, scheduler, self._spending, records, confirm)
        for record, verdict in earlier.superseded:
            self._callbacks.ended(study.tell(record.number, verdict))

    @property
    def over(self) -> bool:
        """Whether the search is to end now, with trials still running: it was stopped, or reached a limit."""
        self._spending.meter.save()
        self.limit_reached = self.limit_reached or self._spending.limit()
        return self.stop_reason is not None or self.limit_reached is not None

    @property
    def live(self) -> int:
        """Number of running trials."""
        return len(self._roster.running)

    @property
    def ended(self) -> int:
        """Number of trials with a final verdict, earlier runs included."""
        return self._roster.ended

    @property
    def exhausted(self) -> bool:
        """Whether `propose` has no more trials, now and later."""
        roster = self._roster
        busy = roster.interrupted or roster.to_continue or roster.running or roster.waiting
        return self.over or not (busy or self._more or self._confirmation.due)

    @property
    def _more(self) -> bool:
        """Whether new trials are to come, besides repeats."""
        return not self._closed and self._roster.may_begin(self.trials)

    def propose(self) -> TrialRecord | None:
        """The next trial to run, interrupted, promoted or new; None if there is none until the next `report`."""
        for due in [] if self.over else self._roster.settled(self.study, self.scheduler):
            self._apply_decision(due.rungs[-1], due.number)
        while not self.exhausted:
            stage = self._next_stage()
            if stage is None and self.live:
                return None
            if stage is None:
                self._end_waiting(sorted(self._roster.waiting))
                continue
            decision = self._reserve.decide(stage, self._roster)
            if decision.finish in self._roster.running or (decision.limit and self.live):
                return None
            if decision.limit is not None:
                if stage.last or not self._confirmation.due:
                    self.limit_reached = decision.limit
                    return None
                self._closed = True
                continue
            if record := stage.begin() if decision.finish is None else self._go_on(decision.finish):
                return record
        return None

    def _next_stage(self) -> Stage | None:
        roster, scheduler = self._roster, self.scheduler
        if roster.interrupted:
            first = roster.next_interrupted()
            return Stage(first, roster.interrupted[first], partial(self._go_on, first))
        if roster.to_continue:
            return Stage(None, roster.to_continue[0].step, self._continue)
        more = self._forks.more(roster, self._more)
        if fork := self._forks.due(roster, more):
            return Stage(None, fork.step, partial(self._fork, fork))
        number = None if self._closed else scheduler.promotable(roster.waiting, more, roster.with_graph())
        if number is None and roster.waiting and not (more or self.live or roster.completed):
            number = scheduler.foremost(roster.waiting)  # one trial must train to its end
        if number is not None:
            return Stage(number, roster.waiting[number], partial(self._go_on, number))
        if self._more:
            return Stage(None, 0, self._new)
        repeat = lambda: self._begin(self._confirmation.begin(roster))  # noqa: E731
        return Stage(None, 0, repeat, last=True) if self._confirmation.ready(roster) else None

    def _go_on(self, number: int) -> TrialRecord | None:
        """Give a trial that was interrupted or waits to a worker."""
        if number in self._roster.waiting:
            self.scheduler.promote(number, self._roster.waiting.pop(number))
            return self._begin(self.study.promote(number))
        del self._roster.interrupted[number]
        return self._begin(self.study.resume(number))

    def report(self, result: StepResult) -> bool:
        """Process a worker's message. Returns whether the trial goes on."""
        number, result = result.trial, self._spending.meter.add(result)
        self._roster.running[number] = result
        self._callbacks.progressed(result)
        if result.kind == "failed":
            self._end(number, verdicts.failed(result.reason, result.step))
        elif result.kind == "halt":
            self.fatal_result = result
            self.stop(result.reason)
        elif result.kind == "rung":
            self._on_rung(result)
        return number in self._roster.running and not self.over

    def lost(self, number: int, machine: str = "") -> TrialRecord:
        """A trial's worker died, with the `machine` if named. Returns the record, from which another resumes it."""
        self._note_spent(number)
        record = self.study.note_loss(number, machine)
        self._spending.meter.begin(record)
        self._callbacks.lost(record)
        return record

    def crashed(self, number: int, reason: str) -> None:
        """A trial's worker died once too often: the trial has failed."""
        self._end(number, verdicts.failed(reason, self._roster.worker_died(number)))

    def put_back(self, number: int, why: str) -> None:
        """The engine has ended a trial that is unfinished, through no fault of the trial: it is proposed again."""
        self._end(number, self._roster.put_back(self.study.record(number), why))

    def stop(self, reason: str) -> None:
        """Propose no more trials, and end the running ones at their next report. The first reason is kept."""
        self.stop_reason = self.stop_reason or reason

    def interrupt(self) -> None:
        """Give every running or waiting trial the verdict interrupted; it resumes when the study does."""
        self._roster.withdraw_all()
        for number, latest in list(self._roster.running.items()):
            self._end(number, verdicts.interrupted((latest or self.study.record(number)).step))

    def _new(self) -> TrialRecord | None:
        record = self._new_trials.proposed(self._roster)
        return None if record is None else self._begin(record)

    def _fork(self, fork: Fork) -> TrialRecord | None:
        record = self._forks.begin(fork, self._roster)
        self._roster.withdraw(fork.instead_of)
        self._end(fork.instead_of, verdicts.replaced(fork, record.number))
        return self._begin(record)

    def _end_waiting(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            step = self._roster.withdraw(number)
            rung = self.study.record(number).rungs[-1]
            reason, cutoff = self.scheduler.judge(number, step).not_promoted(rung.score, self.study.objective)
            self._end(number, verdicts.pruned(step, reason, cutoff))

    def _continue(self) -> TrialRecord | None:
        shorter = self._roster.to_continue.pop(0)
        record = self._new_trials.longer(shorter, self.scheduler.rungs[-1], self._roster)
        if shorter.state == "interrupted":
            continued = verdicts.continued(shorter.step, record.number, self.scheduler.rungs[-1])
            self._callbacks.ended(self.study.tell(shorter.number, continued))
        return self._begin(record)

    def _begin(self, record: TrialRecord) -> TrialRecord | None:
        """Begin a trial. Returns it if a worker is to train it; None if its next results are known."""
        if known := self._known.results(record, self.scheduler):
            self._roster.running[record.number] = None
            self._roster.idle.add_trial(record.number, record.recipe)
            self._callbacks.began(record)
            for result in known:
                self._on_rung(result, goes_on=result is not known[-1])
            if record.number not in self._roster.running:
                return None
            record = self.study.record(record.number)
        self._roster.assign(record)
        self._spending.meter.begin(record)
        self._callbacks.began(record)
        return record

    def _on_rung(self, result: StepResult, goes_on: bool = False) -> None:
        number, step = result.trial, result.step
        if self.scheduler.measured(number, step):
            return  # a resumed trial has reached this rung before
        if reason := self._judge.not_finite(result):
            self._end(number, verdicts.failed(reason, step))
            return
        rung = self._judge.judge(result, goes_on)
        self.study.note_spent(number, self._spending.meter.spent(number))
        self.study.report(number, rung)
        self._failures.clear()
        record = self.study.record(number)
        self._reserve.learn(record)
        self._callbacks.reached(record, rung)
        self._apply_decision(rung, number)

    def _apply_decision(self, rung: Rung, number: int) -> None:
        if rung.decision == "pause":
            self._note_spent(number)
            self._roster.release(number)
            self._roster.waiting[number] = rung.step
            self._new_trials.learn(paused_as_pruned(self.study.trial(number)))
            most = None if self.trials is None else self.trials + len(self._roster.not_counted)
            self._end_waiting(self.scheduler.hopeless(self._roster.waiting, most))  # they take disk space
        elif rung.decision == "stop":
            assert rung.cutoff is not None
            self._end(number, verdicts.pruned(rung.step, rung.reason, rung.cutoff))
        elif rung.step >= self.scheduler.rungs[-1]:
            self._end(number, verdicts.completed(rung.step))

    def _end(self, number: int, verdict: verdicts.Verdict) -> None:
        self._note_spent(number)
        self._roster.release(number)
        record = self.study.tell(number, verdict)
        self._new_trials.learn(self.study.trial(number))
        self._roster.ended += verdict.final and number not in self._roster.not_counted
        if verdict.state == "completed" and record.repeats is None:
            self._roster.completed.add(number)
            self._closed = self._closed or self._convergence.reached()
        line = self._failures.add(verdict.reason) if verdict.state == "failed" else None
        if line is not None and not self.over:
            self.fatal_result = StepResult(0, 0, "halt", reason=line)
            self.stop(line)
        self._callbacks.ended(record)

    def _note_spent(self, number: int) -> None:
        if (spent := self._spending.meter.end(number)) is not None:
            self.study.note_spent(number, spent)
