"""Search: proposes trials, judges their rungs and gives the verdicts. The same on a cluster and on a simulated clock.

It knows the study and the halving, not Ray: searcher.py and scheduler.py are its two faces towards Ray Tune.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from search_spaces.space import Seed
from tuning import verdict as verdicts
from tuning.halving import Halving, Score
from tuning.observer import Observer
from tuning.proposer import Proposer, at_its_rung
from tuning.record import Rung, TrialRecord
from tuning.result import StepResult
from tuning.study import Study
from tuning.verdict import Verdict

LOSS = "validation_loss/total"


class Search:
    """One run of a study, until `trials` of its trials have a final verdict, `limit` says so or `stop` is called.

    proposer, halving: are told here of the study's earlier trials.
    trials: None for any number, where something else limits the search.
    seeds: are proposed first, in their order, each once in the life of the study.
    limit: the limit of the budget that is reached, None before; asked after every event and in between.
    """

    def __init__(
        self,
        study: Study,
        proposer: Proposer,
        halving: Halving,
        trials: int | None,
        seeds: Sequence[Seed] = (),
        observers: Sequence[Observer] = (),
        limit: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.study = study
        self.halving = halving
        self.trials = trials
        self.stop_reason: str | None = None
        self.limit_reached: str | None = None
        self.halted: StepResult | None = None
        self.broken: Exception | None = None  # what went wrong in the driver itself
        self._proposer = proposer
        self._observers = observers
        self._limit = limit
        self._live: dict[int, StepResult | None] = {}
        self._interrupted: list[int] = []
        self._waiting: dict[int, int] = {}  # for promotion: the step of each one's rung
        self._ended = self._completed = 0
        for trial in study.trials():
            proposer.learn(trial)
        earlier = study.records()
        known = {record.provenance.get("name") for record in earlier}
        self._seeds = [seed for seed in seeds if seed.name not in known]
        for record in earlier:
            for rung in record.rungs:
                halving.record(record.number, rung.step, rung.score)
            if record.state == "interrupted":
                self._interrupted.append(record.number)
            elif record.verdict is not None:
                self._count(record.verdict)

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
        return not self._interrupted and not self._may_begin and not self.live and not self._waiting

    def propose(self) -> TrialRecord | None:
        """The next trial to run: an interrupted one, one that merits its promotion, or a new one.

        None when there is none: for good if `exhausted`, else until a running one is heard of.
        """
        while not self.exhausted:
            if self._interrupted:
                record = self.study.take_up(self._interrupted.pop(0))
                self._live[record.number] = None
                if not record.rungs or self._settle(record.rungs[-1], record.number):
                    return self._begin(record)
            elif (promoted := self.halving.promotable(self._waiting)) is not None:
                return self._promote(promoted)
            elif self._may_begin:
                return self._begin(self._new())
            elif self.live:
                return None
            elif not self._completed:
                return self._promote(self.halving.foremost(self._waiting))  # somebody must go all the way
            else:
                self._end_waiting()
        return None

    def report(self, result: StepResult) -> bool:
        """Take in what a worker says of a trial; whether the trial goes on."""
        number = result.trial
        self._live[number] = result
        for observer in self._observers:
            observer.progressed(result)
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
        for observer in self._observers:
            observer.lost(record)
        return record

    def crashed(self, number: int, reason: str) -> None:
        """A trial's worker is gone and will not be tried again."""
        latest = self._live[number]
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

    def _new(self) -> TrialRecord:
        number = len(self.study.trials())
        if not self._seeds:
            return self.study.begin(self._proposer.propose(number), {})
        seed = self._seeds.pop(0)
        provenance = {"name": seed.name, "source": seed.source}
        return self.study.begin(self._proposer.propose(number, seed.params), provenance)

    @property
    def _may_begin(self) -> bool:
        if self.trials is None:
            return True
        return self._ended + self.live + len(self._waiting) + len(self._interrupted) < self.trials

    def _promote(self, number: int) -> TrialRecord:
        del self._waiting[number]
        return self._begin(self.study.promote(number))

    def _end_waiting(self) -> None:
        for number, step in sorted(self._waiting.items()):
            del self._waiting[number]
            self._live[number] = None
            judgement = self.halving.judge(number, step)
            rung = self.study.record(number).rungs[-1]
            cutoff = rung.mAP if judgement.cutoff is None else judgement.cutoff.mAP
            self._end(
                number, verdicts.pruned(step, f"was not promoted: {judgement.reason(rung.score)}", cutoff)
            )

    def _begin(self, record: TrialRecord) -> TrialRecord:
        self._live.setdefault(record.number, None)
        for observer in self._observers:
            observer.began(record)
        return record

    def _rung(self, result: StepResult) -> None:
        number, step = result.trial, result.step
        if self.halving.measured(number, step):
            return  # a resumed trial passes a rung again; it was let past
        for name in ("mAP", LOSS):
            if not math.isfinite(result.metrics.get(name, 0.0)):
                self._end(number, verdicts.failed(f"{name} is {result.metrics[name]} at step {step}", step))
                return
        metrics = {name: value for name, value in result.metrics.items() if math.isfinite(value)}
        score = Score(metrics["mAP"], metrics.get("mAP50", 0.0), metrics.get(LOSS, math.inf))
        self.halving.record(number, step, score)
        judgement = self.halving.judge(number, step)
        rung = Rung(
            step=step,
            mAP=score.mAP,
            seconds=result.seconds_training + result.seconds_overhead,
            seconds_training=result.seconds_training,
            time=time.time(),
            metrics=metrics,
            decision=judgement.decision,
            reason=judgement.reason(score),
            rank=judgement.rank,
            of=judgement.of,
            cutoff=judgement.cutoff.mAP if judgement.cutoff else None,
        )
        self.study.report(number, rung)
        record = self.study.record(number)
        for observer in self._observers:
            observer.reached(record, rung)
        self._settle(rung, number)

    def _settle(self, rung: Rung, number: int) -> bool:
        """Carry out what was decided at a rung; whether the trial runs on."""
        if rung.decision == "waits":
            self._note_seconds(number)
            del self._live[number]
            self._waiting[number] = rung.step
            self._proposer.learn(at_its_rung(self.study.trial(number)))
            return False
        if rung.decision == "stops":
            assert rung.cutoff is not None
            self._end(number, verdicts.pruned(rung.step, rung.reason, rung.cutoff))
            return False
        if rung.step >= self.halving.rungs[-1]:
            self._end(number, verdicts.completed(rung.step))
            return False
        return True

    def _end(self, number: int, verdict: Verdict) -> None:
        self._note_seconds(number)
        del self._live[number]
        record = self.study.tell(number, verdict)
        self._proposer.learn(self.study.trial(number))
        self._count(verdict)
        for observer in self._observers:
            observer.ended(record)

    def _count(self, verdict: Verdict) -> None:
        self._ended += verdict.final
        self._completed += verdict.state == "completed"

    def _note_seconds(self, number: int) -> None:
        latest = self._live[number]
        if latest is not None:
            self.study.note_seconds(number, latest.seconds_training, latest.seconds_overhead)
