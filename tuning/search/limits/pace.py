"""Pace: what training costs, by the trials of a study: seconds a step by model, and seconds besides the steps."""

from __future__ import annotations

import functools
import itertools
import statistics
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from trainers import model as models
from tuning.study.trial_record import CONTINUES, TrialRecord

REMEMBERED = 60  # latest stages of each model


class Cost(NamedTuple):
    """A cost to come: gradient steps, and worker seconds (0 while nothing was measured)."""

    steps: int = 0
    seconds: float = 0.0

    def plus(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(self.steps + other.steps, self.seconds + other.seconds)


def total(costs: Iterable[Cost]) -> Cost:
    """All together."""
    return functools.reduce(Cost.plus, costs, Cost())


class Stage(NamedTuple):
    """The part of a trial from one rung to the next: its steps, and worker seconds in them and besides them."""

    steps: int
    training: float
    overhead: float


class Pace:
    """The cost of training to a later step, estimated from the stages of earlier trials of the same model.

    A stage's overhead (start from a checkpoint, waiting for input, evaluation, saving) is the median of the measured
    stages with the most similar number of steps; for more steps than these it is proportionally larger, since waiting
    for input is. records: trials to learn from.
    """

    def __init__(self, records: Iterable[TrialRecord] = ()) -> None:
        self._stages: dict[str, deque[Stage]] = {}
        self._own: dict[int, Stage] = {}  # the sum of a trial's stages
        self._largest = 1.0  # relative cost of a trial so far
        for record in records:
            for count in range(1, len(record.rungs) + 1):
                self._add(record, count)

    def learn(self, record: TrialRecord) -> None:
        """Take in the stage before a trial's last rung."""
        self._add(record, len(record.rungs))

    @property
    def models(self) -> tuple[str, ...]:
        """The models that were measured."""
        return tuple(self._stages)

    def seconds_per_step(self, model: str) -> float | None:
        """Mean worker seconds of a gradient step, of a recipe of relative cost 1; None if the model was not measured."""
        stages = self._stages.get(model, ())
        return sum(s.training for s in stages) / sum(s.steps for s in stages) if stages else None

    def overhead(self, model: str) -> float | None:
        """Median worker seconds of a stage besides its steps; None if the model was not measured."""
        stages = self._stages.get(model, ())
        return statistics.median(stage.overhead for stage in stages) if stages else None

    def cost(
        self,
        steps: Sequence[int],
        model: str | None = None,
        trial: int | None = None,
        relative: float | None = None,
    ) -> Cost:
        """The cost of training a trial from steps[0] to steps[-1] through the rungs between them.

        model: None for the most expensive one that was measured. trial: whose own stages tell its seconds a step.
        relative: the cost of a step of the trial's recipe (Model.relative_cost); None for the largest measured.
        """
        factor = self._largest if relative is None else relative
        lengths = [after - before for before, after in itertools.pairwise(steps)]
        models = [model] if model in self._stages else self.models
        own = self._own.get(trial) if trial is not None else None
        return Cost(
            sum(lengths), max((self._seconds(lengths, each, own, factor) for each in models), default=0.0)
        )

    def _seconds(self, lengths: Sequence[int], model: str, own: Stage | None, factor: float) -> float:
        each = own.training / own.steps if own else factor * (self.seconds_per_step(model) or 0.0)
        return sum(length * each + self._overhead(length, model) for length in lengths)

    def _overhead(self, length: int, model: str) -> float:
        stages = self._stages[model]
        nearest = min((stage.steps for stage in stages), key=lambda steps: (abs(steps - length), -steps))
        measured = statistics.median(stage.overhead for stage in stages if stage.steps == nearest)
        return measured * max(1.0, length / nearest)

    def _add(self, record: TrialRecord, count: int) -> None:
        """The stage that ended at the trial's rung number `count`, from 1."""
        if count == 1 and CONTINUES in record.provenance:
            return  # it began at a checkpoint of another trial
        rung, steps, seconds, training = record.rungs[count - 1], record.began_at, 0.0, 0.0
        if count > 1:
            before = record.rungs[count - 2]
            steps, seconds, training = before.step, before.seconds, before.seconds_training
        took = rung.seconds_training - training
        if took <= 0:
            return  # a known result
        stage = Stage(rung.step - steps, took, max(0.0, rung.seconds - seconds - took))
        factor = relative_cost(record)
        self._largest = max(self._largest, factor)
        even = stage._replace(training=took / factor)
        self._stages.setdefault(record.model, deque(maxlen=REMEMBERED)).append(even)
        own = self._own.get(record.number, Stage(0, 0.0, 0.0))
        self._own[record.number] = Stage(
            own.steps + stage.steps, own.training + stage.training, own.overhead + stage.overhead
        )


def relative_cost(record: TrialRecord) -> float:
    """Model.relative_cost of a trial's recipe; 1 for a model that is not registered here."""
    known = models.all_models().get(record.model)
    return 1.0 if known is None else known.relative_cost(record.recipe)
