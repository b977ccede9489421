"""Search: proposes trials, judges their rungs and gives the verdicts. The same on a cluster and on a simulated clock.

It knows the study and the halving, not Ray: searcher.py and scheduler.py are its two faces towards Ray Tune.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from search_spaces.space import Seed
from tuning import verdict as verdicts
from tuning.halving import Halving, Score
from tuning.observer import Observer
from tuning.proposer import Proposer
from tuning.record import Rung, TrialRecord
from tuning.result import StepResult
from tuning.study import Study
from tuning.verdict import Verdict

LOSS = "validation_loss/total"


class Search:
    """One run of a study, until `trials` of its trials have a final verdict or `stop` is called.

    proposer, halving: are told here of the study's earlier trials.
    seeds: are proposed first, in their order, each once in the life of the study.
    """

    def __init__(
        self,
        study: Study,
        proposer: Proposer,
        halving: Halving,
        trials: int,
        seeds: Sequence[Seed] = (),
        observers: Sequence[Observer] = (),
    ) -> None:
        self.study = study
        self.halving = halving
        self.trials = trials
        self.stop_reason: str | None = None
        self.halted: StepResult | None = None
        self.broken: Exception | None = None  # what went wrong in the driver itself
        self._proposer = proposer
        self._observers = observers
        self._live: dict[int, StepResult | None] = {}
        self._interrupted: list[int] = []
        self._ended = 0
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
                self._ended += 1

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
        """Whether `propose` has no more to give."""
        return self.stop_reason is not None or self._ended + self.live >= self.trials

    def propose(self) -> TrialRecord | None:
        """The next trial to run: an interrupted one, else a new one; None when the search is exhausted."""
        while not self.exhausted:
            if not self._interrupted:
                return self._begin(self._new())
            record = self.study.take_up(self._interrupted.pop(0))
            if not record.rungs or (record.rungs[-1].went_on and record.step < self.halving.rungs[-1]):
                return self._begin(record)
            # killed between its last rung and its verdict
            self._live[record.number] = None
            self._end(record.number, _verdict_at(record.rungs[-1]))
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
        return number in self._live and self.stop_reason is None

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
        """Every trial that is still running gets the verdict interrupted; it goes on when the study does."""
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

    def _begin(self, record: TrialRecord) -> TrialRecord:
        self._live[record.number] = None
        for observer in self._observers:
            observer.began(record)
        return record

    def _rung(self, result: StepResult) -> None:
        number, step = result.trial, result.step
        if number in self.halving.scores.get(step, {}):
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
            went_on=judgement.go_on,
            reason=judgement.reason(score),
            rank=judgement.rank,
            of=judgement.of,
            cutoff=judgement.cutoff.mAP if judgement.cutoff else None,
        )
        self.study.report(number, rung)
        record = self.study.record(number)
        for observer in self._observers:
            observer.reached(record, rung)
        if not rung.went_on or step >= self.halving.rungs[-1]:
            self._end(number, _verdict_at(rung))

    def _end(self, number: int, verdict: Verdict) -> None:
        self._note_seconds(number)
        del self._live[number]
        record = self.study.tell(number, verdict)
        self._proposer.learn(self.study.trial(number))
        self._ended += verdict.final
        for observer in self._observers:
            observer.ended(record)

    def _note_seconds(self, number: int) -> None:
        latest = self._live[number]
        if latest is not None:
            self.study.note_seconds(number, latest.seconds_training, latest.seconds_overhead)


def _verdict_at(rung: Rung) -> Verdict:
    if rung.went_on:
        return verdicts.completed(rung.step)
    assert rung.cutoff is not None
    return verdicts.pruned(rung.step, rung.reason, rung.cutoff)
