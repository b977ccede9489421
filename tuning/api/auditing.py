"""Audit: trains a random sample of a study's stopped trials to their end, without changing the trials themselves."""

from __future__ import annotations

import random
from collections.abc import Sequence

from rich.console import Console

from trainers import model as models
from trainers.errors import UserError
from trainers.hardware.machine import cpus_here, gpus_here
from tuning.execution import engine
from tuning.execution.engine import Job, Resources
from tuning.search.scheduler import Scheduler
from tuning.search.schedulers.full_training import FullTraining
from tuning.study.data import reopen
from tuning.study.reading import AUDITS, StudyRead
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_folder import newest_checkpoint
from tuning.study.trial_record import TrialRecord


class Audit:
    """A TrialSource of the sampled trials: each is trained from its checkpoint to its last step.

    console: where a line is printed for each event.
    """

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
        """Number of running trials."""
        return len(self._live)

    @property
    def over(self) -> bool:
        """Whether the audit was stopped."""
        return self.stop_reason is not None

    @property
    def exhausted(self) -> bool:
        """Whether `propose` has no more trials, now and later."""
        return self.over or not (self._left or self._live)

    def propose(self) -> TrialRecord | None:
        """The next trial of the sample."""
        if self.over or not self._left:
            return None
        record = self._left.pop(0)
        self._live[record.number] = record
        newest = newest_checkpoint(self.study.trial_folder(record.number))
        if newest is None:
            self._say(f"trial {record.number} is trained again from step 0: its checkpoint is gone")
        else:
            stopped = "" if newest[0] == record.step else f"; it was stopped at step {record.step}"
            self._say(
                f"trial {record.number} resumes from step {newest[0]}{stopped or ', where it was stopped'}"
            )
        return record

    def report(self, result: StepResult) -> bool:
        """Process a worker's message; store the metrics of the last rung with the study."""
        if result.kind == "progress":
            return not self.over
        if result.kind == "halt":
            self.fatal_result = result
            self.stop(result.reason)
            return False
        record = self._live.pop(result.trial)
        if result.kind == "failed":
            self._say(f"trial {record.number} failed: {result.reason}")
            return False
        audits = self.study.attribute(AUDITS, {})
        audits[str(record.number)] = dict(result.metrics) | {"step": result.step}
        self.study.set_attribute(AUDITS, audits)
        self._say(
            f"trial {record.number} ends with {self.study.objective.name} "
            f"{self.study.objective.score(result.metrics).value:.3f}; it was stopped at {record.value:.3f}"
        )
        return False

    def lost(self, number: int, machine: str = "") -> TrialRecord:
        """A trial's worker died; another resumes the trial from its checkpoint."""
        return self._live[number]

    def crashed(self, number: int, reason: str) -> None:
        """A trial's worker died once too often."""
        self._say(f"trial {self._live.pop(number).number} failed: {reason}")

    def put_back(self, number: int, why: str) -> None:
        """The engine has ended a trial that is unfinished: it is the next one."""
        self._left.insert(0, self._live.pop(number))

    def stop(self, reason: str) -> None:
        """Propose no more trials, and end the running ones at their next report."""
        self.stop_reason = self.stop_reason or reason

    def interrupt(self) -> None:
        """Forget the running trials: they count as not audited."""
        self._live.clear()

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)


def audit(
    found: StudyRead, count: int, seed: int, data: str | None, trainer: str | None, console: Console
) -> None:
    """Train `count` stopped trials, drawn at random from those not audited yet, to their end.

    seed: of the draw. data: where the study's data are now, if they have moved. trainer: factory, "module:callable",
    instead of the models' own.
    Raises UserError when `count` is below 1, the data have changed, or every stopped trial is already audited.
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
            raise UserError(f"{found.folder}: no stopped trial is left to audit; leave out --audit")
        sample = random.Random(seed).sample(stopped, min(count, len(stopped)))
        gpus = min(1.0, float(gpus_here()))
        options = {"cpus": cpus_here(), "gpu_fraction": gpus}
        names = {record.model for record in sample}
        factories = dict.fromkeys(names, trainer) if trainer else None
        job = Job(found.manifest.task, dataset, options, factories, models.modules_of(names))
        engine.run(Audit(study, sample, console), job, Resources(1, cpus_here(), gpus))
    finally:
        study.close()
