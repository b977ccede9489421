"""Search: proposes trials, judges their rungs and gives the verdicts. The same on a cluster and on a simulated clock.

It knows the study, a Sampler and a Scheduler, not Ray: tuning.execution adapts it to Ray Tune.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from search_spaces.space import Seed
from trainers import recipe as recipes
from trainers.metrics import TOTAL_LOSS
from tuning.search import history
from tuning.search.callback import Callback
from tuning.search.idle_workers import FreeWorkers
from tuning.search.sampler import Sampler, paused_at_its_rung
from tuning.search.scheduler import Scheduler, reached
from tuning.study import verdict as verdicts
from tuning.study.proposal import Proposal
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_folder import newest_checkpoint
from tuning.study.trial_record import CONTINUES, Rung, TrialRecord
from tuning.study.verdict import Verdict


class Search:
    """One run of a study, until `trials` of its trials have a final verdict, `limit` says so or `stop` is called.

    sampler, scheduler: are told here of the study's earlier trials.
    trials: None for any number, where something else limits the search.
    seeds: are proposed first, in their order, each once in the life of the study.
    limit: the limit of the budget that is reached, None before; asked after every event and in between.
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
    ) -> None:
        self.study = study
        self.scheduler = scheduler
        self.trials = trials
        self.stop_reason: str | None = None
        self.limit_reached: str | None = None
        self.halted: StepResult | None = None
        self.broken: Exception | None = None  # what went wrong in the driver itself
        self._sampler = sampler
        self._callbacks = callbacks
        self._limit = limit
        self._live: dict[int, StepResult | None] = {}
        self._interrupted: list[int] = []
        self._waiting: dict[int, int] = {}  # for promotion: the step of each one's rung
        self._workers = FreeWorkers()
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
            self._workers.know(record.number, record.recipe)
        for record, by in earlier.superseded:
            self._supersede(record, by)

    @property
    def over(self) -> bool:
        """Whether the search ends before its trials have: it was stopped, or reached a limit of its budget."""
        self.limit_reached = self.limit_reached or self._limit()
        return self.stop_reason is not None or self.limit_reached is not None

    @property
    def live(self) -> int:
        """How many trials are running."""
        return len(self._live)

    @property
    def ended(self) -> int:
        """How many trials have a final verdict, from earlier runs too."""
        return self._ended

    @property
    def exhausted(self) -> bool:
        """Whether `propose` has no more to give, now or later."""
        if self.over:
            return True
        to_come = self._interrupted or self._to_continue or self._may_begin
        return not to_come and not self.live and not self._waiting

    def propose(self) -> TrialRecord | None:
        """The next trial to run: an interrupted one, one that merits its promotion, or a new one.

        None when there is none: for good if `exhausted`, else until a running one is heard of.
        """
        while not self.exhausted:
            if self._interrupted:
                number = next(filter(self._workers.has_graph_of, self._interrupted), self._interrupted[0])
                self._interrupted.remove(number)
                record = self.study.resume(number)
                self._live[record.number] = None
                if not record.rungs or self._settle(record.rungs[-1], record.number):
                    return self._begin(record)
            elif self._to_continue:
                return self._begin(self._continue(self._to_continue.pop(0)))
            elif (promoted := self._promotable()) is not None:
                return self._promote(promoted)
            elif self._may_begin:
                return self._begin(self._new())
            elif self.live:
                return None
            elif not self._completed:
                return self._promote(self.scheduler.foremost(self._waiting))  # somebody must go all the way
            else:
                self._end_waiting(sorted(self._waiting))
        return None

    def report(self, result: StepResult) -> bool:
        """Take in what a worker says of a trial; whether the trial goes on."""
        number = result.trial
        self._live[number] = result
        for callback in self._callbacks:
            callback.progressed(result)
        if result.kind == "failed":
            self._end(number, verdicts.failed(result.reason, result.step))
        elif result.kind == "halt":
            self.halted = result
            self.stop(result.reason)
        elif result.kind == "rung":
            self._rung(result)
        return number in self._live and not self.over

    def lost(self, number: int) -> TrialRecord:
        """A trial's worker is gone; what is known of the trial, for another to go on with."""
        self._note_seconds(number)
        record = self.study.record(number)
        for callback in self._callbacks:
            callback.lost(record)
        return record

    def crashed(self, number: int, reason: str) -> None:
        """A trial's worker is gone and will not be tried again."""
        latest = self._live[number]
        self._note_seconds(number)
        self._live[number] = None  # no worker is free of it
        self._end(number, verdicts.failed(reason, latest.step if latest else 0))

    def stop(self, reason: str) -> None:
        """Propose nothing more, and let no trial go on; the first reason given stays."""
        self.stop_reason = self.stop_reason or reason

    def interrupt(self) -> None:
        """Every trial that is running or waits gets the verdict interrupted; it goes on when the study does."""
        self._live |= dict.fromkeys(self._waiting)
        self._waiting.clear()
        for number, latest in list(self._live.items()):
            step = latest.step if latest else self.study.record(number).step
            self._end(number, verdicts.interrupted(step))

    def _release(self, number: int) -> None:
        """Mark the trial's worker idle."""
        if self._live.pop(number) is not None:
            self._workers.add(number)

    def _new(self) -> TrialRecord:
        number = len(self.study.trials())
        seed = self._seeds.pop(0) if self._seeds else None
        proposal = self._sampler.propose(number, seed.params if seed else None)
        record = self.study.begin(proposal, {"name": seed.name, "source": seed.source} if seed else {})
        self._sampler.learn(self.study.trial(number))
        return record

    @property
    def _may_begin(self) -> bool:
        if self.trials is None:
            return True
        begun = {*self._live, *self._waiting, *self._interrupted} - self._continuing
        return self._ended + len(begun) < self.trials

    def _promotable(self) -> int | None:
        handy = set(filter(self._workers.has_graph_of, self._waiting))
        return self.scheduler.promotable(self._waiting, self._may_begin, handy)

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
            self._end(
                number,
                verdicts.pruned(
                    step, f"was not promoted: {judgement.reason(rung.score, self.study.objective)}", cutoff
                ),
            )

    def _continue(self, earlier: TrialRecord) -> TrialRecord:
        """A new trial with more steps, from where an earlier one ended or was interrupted."""
        steps = self.scheduler.rungs[-1]
        trial = self.study.trial(earlier.number)
        recipe = recipes.build(dict(earlier.recipe) | {"steps": steps}, where=f"trial {earlier.number}")
        newest = newest_checkpoint(self.study.trial_folder(earlier.number))
        record = self.study.begin(
            Proposal(recipe, trial.params, trial.distributions),
            {
                "name": f"trial {earlier.number} continued",
                "source": f"from its checkpoint at step {newest[0]}" if newest else "its checkpoint is gone",
                CONTINUES: str(earlier.number),
            },
            newest[1] if newest else None,
        )
        self._continuing.add(record.number)
        self._sampler.learn(self.study.trial(record.number))
        if earlier.state == "interrupted":
            self._supersede(earlier, record.number)
        return record

    def _supersede(self, earlier: TrialRecord, by: int) -> None:
        told = self.study.tell(earlier.number, verdicts.continued(earlier.step, by, self.scheduler.rungs[-1]))
        for callback in self._callbacks:
            callback.ended(told)

    def _begin(self, record: TrialRecord) -> TrialRecord:
        self._live.setdefault(record.number, None)
        self._workers.give(record.number, record.recipe)
        for callback in self._callbacks:
            callback.began(record)
        return record

    def _rung(self, result: StepResult) -> None:
        number, step = result.trial, result.step
        if self.scheduler.measured(number, step):
            return  # a resumed trial passes a rung again; it was let past
        objective = self.study.objective
        for name in dict.fromkeys((*objective.metrics, TOTAL_LOSS, *objective.judged_by)):
            if not math.isfinite(result.metrics.get(name, 0.0)):
                self._end(number, verdicts.failed(f"{name} is {result.metrics[name]} at step {step}", step))
                return
        score = objective.score(result.metrics)
        self.scheduler.record(number, step, score)
        rung = reached(result, score, self.scheduler.judge(number, step), objective)
        self.study.report(number, rung)
        record = self.study.record(number)
        for callback in self._callbacks:
            callback.reached(record, rung)
        self._settle(rung, number)

    def _settle(self, rung: Rung, number: int) -> bool:
        """Carry out what was decided at a rung; whether the trial runs on."""
        if rung.decision == "pause":
            self._note_seconds(number)
            self._release(number)
            self._waiting[number] = rung.step
            self._sampler.learn(paused_at_its_rung(self.study.trial(number)))
            if self.trials is not None:  # their checkpoints need not be kept
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
        self._note_seconds(number)
        self._release(number)
        record = self.study.tell(number, verdict)
        self._sampler.learn(self.study.trial(number))
        # what continues another trial is no further one
        self._ended += verdict.final and number not in self._continuing
        self._completed += verdict.state == "completed"
        for callback in self._callbacks:
            callback.ended(record)

    def _note_seconds(self, number: int) -> None:
        latest = self._live[number]
        if latest is not None:
            self.study.note_seconds(number, latest.seconds_training, latest.seconds_overhead)
