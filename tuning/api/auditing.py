"""Audit: trains a random sample of a study's stopped trials to their end. The study's own trials stay as they are."""

from __future__ import annotations

import random
from collections.abc import Sequence

from rich.console import Console

from trainers import model as models
from trainers.errors import UserError
from tuning.api.settings import cpus_here, gpus_here
from tuning.execution import engine
from tuning.execution.engine import Job, Resources
from tuning.search.full_training import FullTraining
from tuning.search.scheduler import Scheduler
from tuning.study.data import reopen
from tuning.study.reading import AUDITS, StudyRead
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_record import TrialRecord


class Audit:
    """TrialSource for the engine, like a Search: the sampled trials, each from its checkpoint to its last step."""

    def __init__(self, study: Study, sample: Sequence[TrialRecord], console: Console) -> None:
        self.study = study
        self.scheduler: Scheduler = FullTraining((study.manifest.max_steps,))
        self.stop_reason: str | None = None
        self.fatal_result: StepResult | None = None
        self.driver_error: Exception | None = None
        self._console = console
        self._left = list(sample)
        self._live: dict[int, TrialRecord] = {}

    @property
    def live(self) -> int:
        """How many trials are running."""
        return len(self._live)

    @property
    def over(self) -> bool:
        """Whether it was stopped."""
        return self.stop_reason is not None

    @property
    def exhausted(self) -> bool:
        """Whether `propose` has no more to give, now or later."""
        return self.over or not (self._left or self._live)

    def propose(self) -> TrialRecord | None:
        """The next trial of the sample."""
        if self.over or not self._left:
            return None
        record = self._left.pop(0)
        self._live[record.number] = record
        self._say(f"trial {record.number} goes on from step {record.step}, where it was stopped")
        return record

    def report(self, result: StepResult) -> bool:
        """Take in what a worker says; keep the last rung's metrics with the study."""
        if result.kind == "progress":
            return not self.over
        if result.kind == "halt":
            self.fatal_result = result
            self.stop(result.reason)
            return False
        record = self._live.pop(result.trial)
        if result.kind == "failed":
            self._say(f"trial {record.number} fails: {result.reason}")
            return False
        audits = self.study.attribute(AUDITS, {})
        audits[str(record.number)] = dict(result.metrics) | {"step": result.step}
        self.study.set_attribute(AUDITS, audits)
        self._say(
            f"trial {record.number} ends with {self.study.objective.name} "
            f"{self.study.objective.score(result.metrics).value:.3f}; it was stopped at {record.value:.3f}"
        )
        return False

    def lost(self, number: int) -> TrialRecord:
        """A trial's worker is gone; the trial goes on from its checkpoint."""
        return self._live[number]

    def crashed(self, number: int, reason: str) -> None:
        """A trial's worker is gone and will not be tried again."""
        self._say(f"trial {self._live.pop(number).number} fails: {reason}")

    def stop(self, reason: str) -> None:
        """Begin no more, and let none go on."""
        self.stop_reason = self.stop_reason or reason

    def interrupt(self) -> None:
        """Nothing is lost: a trial that was not finished is one that was not audited."""
        self._live.clear()

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)


def audit(
    found: StudyRead, count: int, seed: int, data: str | None, trainer: str | None, console: Console
) -> None:
    """Train `count` of the stopped trials that no audit has trained yet to their end.

    data: where the study's data are, if not where they were. Raises UserError when they are others, or none is left.
    """
    if count < 1:
        raise UserError(f"--audit must be at least 1, not {count}")
    dataset = reopen(found.task, found.manifest.data, found.folder.parent / "data", data)
    study = Study.open(found.folder, found.manifest)
    try:
        done = study.attribute(AUDITS, {})
        steps = found.manifest.max_steps
        stopped = [
            record
            for record in study.records()
            if record.state == "pruned" and record.rungs and record.recipe["steps"] == steps
            if str(record.number) not in done
        ]
        if not stopped:
            raise UserError(f"{found.folder}: no stopped trial is left to audit")
        sample = random.Random(seed).sample(stopped, min(count, len(stopped)))
        options = {"cpus": cpus_here(), "gpu_fraction": min(1.0, float(gpus_here()))}
        names = {record.model for record in sample}
        factories = dict.fromkeys(names, trainer) if trainer else None
        job = Job(found.manifest.task, dataset, options, factories, models.modules_of(names))
        engine.run(Audit(study, sample, console), job, Resources(1, cpus_here()))
    finally:
        study.close()
