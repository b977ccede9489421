"""Search: the loop that connects study, sampler and scheduler: proposes trials, judges rungs, gives verdicts.

It does not depend on Ray: tuning.execution adapts it to Ray Tune, simulation.py runs it on a simulated clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from search_spaces.space import Seed
from trainers.metrics import TOTAL_LOSS
from tuning.search import history
from tuning.search.callback import Callback
from tuning.search.idle_workers import IdleWorkers
from tuning.search.limits.meter import Meter
from tuning.search.sampler import Sampler, paused_as_pruned
from tuning.search.scheduler import Scheduler, make_rung
from tuning.study import verdict as verdicts
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_record import Rung, TrialRecord
from tuning.study.verdict import Verdict


class Search:
    """One run of a study, until `trials` trials have a final verdict, a limit is reached or `stop` is called.

    sampler, scheduler: new ones; they learn the study's earlier trials here.
    trials: in all, earlier runs included; None for any number.
    seeds: recipes to propose in order, each once in the life of the study, and not before Seed.after other trials.
    callbacks: are called for every event.
    limit: returns the limit of the budget that is reached, or None; called often.
    meter: measures what the trials cost; a new one if there is no limit that needs it.

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
        limit: Callable[[], str | None] = lambda: None,
        meter: Meter | None = None,
    ) -> None:
        self.study = study
        self.scheduler = scheduler
        self.trials = trials
        self.stop_reason: str | None = None
        self.limit_reached: str | None = None
        self.fatal_result: StepResult | None = None
        self.driver_error: Exception | None = None
        self._sampler = sampler
        self._callbacks = callbacks
        self._limit = limit
        self._meter = meter or Meter(study)
        self._live: dict[int, StepResult | None] = {}
        self._interrupted: list[int] = []
        self._waiting: dict[int, int] = {}  # for promotion: the step of the rung, by trial
        self._idle = IdleWorkers()
        self._failures = history.Failures()
        for trial in study.trials():
            sampler.learn(trial)
        records = study.records()
        known = {record.provenance.get("name") for record in records}
        self._seeds = [seed for seed in seeds if seed.name not in known]
        earlier = history.of(records, scheduler)
        self._ended, self._completed = earlier.ended, earlier.completed
        self._continuing, self._to_continue = earlier.continuing, earlier.to_continue
        for record in earlier.interrupted:
            self._interrupted.append(record.number)
            self._idle.add_trial(record.number, record.recipe)
        for record, by in earlier.superseded:
            self._supersede(record, by)

    @property
    def over(self) -> bool:
        """Whether the search is to end now, with trials still running: it was stopped, or reached a limit."""
        self._meter.save()
        self.limit_reached = self.limit_reached or self._limit()
        return self.stop_reason is not None or self.limit_reached is not None

    @property
    def live(self) -> int:
        """Number of running trials."""
        return len(self._live)

    @property
    def ended(self) -> int:
        """Number of trials with a final verdict, earlier runs included."""
        return self._ended

    @property
    def exhausted(self) -> bool:
        """Whether `propose` has no more trials, now and later."""
        if self.over:
            return True
        to_come = self._interrupted or self._to_continue or self._may_start_new
        return not to_come and not self.live and not self._waiting

    def propose(self) -> TrialRecord | None:
        """The next trial to run: an interrupted one, a promoted one, or a new one.

        None if there is none: for good if `exhausted`, otherwise until the next `report`.
        """
        while not self.exhausted:
            if self._interrupted:
                number = next(filter(self._idle.has_graph_of, self._interrupted), self._interrupted[0])
                self._interrupted.remove(number)
                record = self.study.resume(number)
                self._live[record.number] = None
                if not record.rungs or self._apply_decision(record.rungs[-1], record.number):
                    return self._begin(record)
            elif self._to_continue:
                return self._begin(self._continue(self._to_continue.pop(0)))
            elif (promoted := self._promotable()) is not None:
                return self._promote(promoted)
            elif self._may_start_new:
                return self._begin(self._new())
            elif self.live:
                return None
            elif not self._completed:
                return self._promote(
                    self.scheduler.foremost(self._waiting)
                )  # one trial must train to its end
            else:
                self._end_waiting(sorted(self._waiting))
        return None

    def report(self, result: StepResult) -> bool:
        """Process a worker's message. Returns whether the trial goes on."""
        number, result = result.trial, self._meter.add(result)
        self._live[number] = result
        for callback in self._callbacks:
            callback.progressed(result)
        if result.kind == "failed":
            self._end(number, verdicts.failed(result.reason, result.step))
        elif result.kind == "halt":
            self.fatal_result = result
            self.stop(result.reason)
        elif result.kind == "rung":
            self._on_rung(result)
        return number in self._live and not self.over

    def lost(self, number: int) -> TrialRecord:
        """A trial's worker died. Returns the trial's record, from which another worker resumes it."""
        self._note_spent(number)
        record = self.study.record(number)
        self._meter.begin(record)
        for callback in self._callbacks:
            callback.lost(record)
        return record

    def crashed(self, number: int, reason: str) -> None:
        """A trial's worker died once too often: the trial has failed."""
        latest = self._live[number]
        self._live[number] = None  # its worker is dead, not idle
        self._end(number, verdicts.failed(reason, latest.step if latest else 0))

    def stop(self, reason: str) -> None:
        """Propose no more trials, and end the running ones at their next report. The first reason is kept."""
        self.stop_reason = self.stop_reason or reason

    def interrupt(self) -> None:
        """Give every running or waiting trial the verdict interrupted; it resumes when the study does."""
        self._live |= dict.fromkeys(self._waiting)
        self._waiting.clear()
        for number, latest in list(self._live.items()):
            step = latest.step if latest else self.study.record(number).step
            self._end(number, verdicts.interrupted(step))

    def _release(self, number: int) -> None:
        """Mark the trial's worker idle."""
        if self._live.pop(number) is not None:
            self._idle.release(number)

    def _new(self) -> TrialRecord:
        number = len(self.study.trials())
        seed = self._seeds.pop(0) if self._seeds and self._seeds[0].after <= number else None
        proposal = self._sampler.propose(number, seed.params if seed else None)
        record = self.study.begin(proposal, {"name": seed.name, "source": seed.source} if seed else {})
        self._sampler.learn(self.study.trial(number))
        return record

    @property
    def _may_start_new(self) -> bool:
        if self.trials is None:
            return True
        begun = {*self._live, *self._waiting, *self._interrupted} - self._continuing
        return self._ended + len(begun) < self.trials

    def _promotable(self) -> int | None:
        same_graph = set(filter(self._idle.has_graph_of, self._waiting))
        return self.scheduler.promotable(self._waiting, self._may_start_new, same_graph)

    def _promote(self, number: int) -> TrialRecord:
        self.scheduler.promote(number, self._waiting.pop(number))
        return self._begin(self.study.promote(number))

    def _end_waiting(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            step = self._waiting.pop(number)
            self._live[number] = None
            judgement = self.scheduler.judge(number, step)
            rung = self.study.record(number).rungs[-1]
            cutoff = rung.value if judgement.cutoff is None else judgement.cutoff.value
            reason = f"was not promoted: {judgement.reason(rung.score, self.study.objective)}"
            self._end(number, verdicts.pruned(step, reason, cutoff))

    def _continue(self, shorter: TrialRecord) -> TrialRecord:
        record = history.continue_longer(self.study, shorter, self.scheduler.rungs[-1])
        self._continuing.add(record.number)
        self._sampler.learn(self.study.trial(record.number))
        if shorter.state == "interrupted":
            self._supersede(shorter, record.number)
        return record

    def _supersede(self, shorter: TrialRecord, by: int) -> None:
        verdict = verdicts.continued(shorter.step, by, self.scheduler.rungs[-1])
        record = self.study.tell(shorter.number, verdict)
        for callback in self._callbacks:
            callback.ended(record)

    def _begin(self, record: TrialRecord) -> TrialRecord:
        self._live.setdefault(record.number, None)
        self._idle.assign(record.number, record.recipe)
        self._meter.begin(record)
        for callback in self._callbacks:
            callback.began(record)
        return record

    def _on_rung(self, result: StepResult) -> None:
        number, step = result.trial, result.step
        if self.scheduler.measured(number, step):
            return  # a resumed trial has reached this rung before
        objective = self.study.objective
        for name in dict.fromkeys((*objective.metrics, TOTAL_LOSS, *objective.judged_by)):
            if not math.isfinite(result.metrics.get(name, 0.0)):
                self._end(number, verdicts.failed(f"{name} is {result.metrics[name]} at step {step}", step))
                return
        score = objective.score(result.metrics, self.study.record(number).model)
        self.scheduler.record(number, step, score)
        rung = make_rung(result, score, self.scheduler.judge(number, step), objective)
        self.study.note_spent(number, self._meter.spent(number))
        self.study.report(number, rung)
        self._failures.clear()
        record = self.study.record(number)
        for callback in self._callbacks:
            callback.reached(record, rung)
        self._apply_decision(rung, number)

    def _apply_decision(self, rung: Rung, number: int) -> bool:
        """Carry out the decision at a rung. Returns whether the trial runs on."""
        if rung.decision == "pause":
            self._note_spent(number)
            self._release(number)
            self._waiting[number] = rung.step
            self._sampler.learn(paused_as_pruned(self.study.trial(number)))
            if self.trials is not None:  # end them now: their checkpoints take disk space
                self._end_waiting(self.scheduler.hopeless(self._waiting, self.trials + len(self._continuing)))
            return False
        if rung.decision == "stop":
            assert rung.cutoff is not None
            self._end(number, verdicts.pruned(rung.step, rung.reason, rung.cutoff))
            return False
        if rung.step >= self.scheduler.rungs[-1]:
            self._end(number, verdicts.completed(rung.step))
            return False
        return True

    def _end(self, number: int, verdict: Verdict) -> None:
        self._note_spent(number)
        self._release(number)
        record = self.study.tell(number, verdict)
        self._sampler.learn(self.study.trial(number))
        # a trial that continues a shorter one does not count as a further trial
        self._ended += verdict.final and number not in self._continuing
        self._completed += verdict.state == "completed"
        if verdict.state == "failed":
            self._on_failure(verdict.reason)
        for callback in self._callbacks:
            callback.ended(record)

    def _on_failure(self, reason: str) -> None:
        line = self._failures.add(reason)
        if line is not None and not self.over:
            self.fatal_result = StepResult(0, 0, "halt", reason=line)
            self.stop(line)

    def _note_spent(self, number: int) -> None:
        spent = self._meter.end(number)
        if spent is not None:
            self.study.note_spent(number, spent)
