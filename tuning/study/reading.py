"""Reads a study, read-only and without its lock, so also while its search is running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from trainers import task as tasks
from trainers.errors import UserError
from trainers.objective import Objective
from trainers.task import Task
from tuning.study import manifest
from tuning.study import trial_record as records
from tuning.study.manifest import Manifest
from tuning.study.spent import SpendingFile
from tuning.study.storage.postgresql import checked
from tuning.study.storage.trials import open_database
from tuning.study.storage.working_copy import refresh
from tuning.study.trial_record import TrialRecord

AUDITS, CONVERGED = "audits", "converged"  # user attributes of the Optuna study


@dataclass(frozen=True)
class StudyRead:
    """A snapshot of a study.

    trials: Optuna's, by number. audits: final metrics of stopped trials that an audit trained to their end, by trial
        number as text. spending: of the trials that are running. converged: what the search expected of a further
        training when it ended for that (tuning.search.limits.convergence); None if it has not.
    """

    folder: Path
    manifest: Manifest
    trials: list[FrozenTrial]
    audits: Mapping[str, Mapping[str, float]]
    spending: SpendingFile = field(default_factory=SpendingFile)
    converged: Mapping[str, float] | None = None

    @property
    def task(self) -> Task:
        """The study's task."""
        return tasks.get(self.manifest.task)

    @cached_property
    def objective(self) -> Objective:
        """What the study optimises."""
        return self.manifest.resolved_objective()

    @property
    def records(self) -> list[TrialRecord]:
        """A record for every trial, by number."""
        return [self._record(trial) for trial in self.trials]

    def record(self, number: int) -> TrialRecord:
        """The record of one trial. Raises UserError when there is no such trial."""
        if not 0 <= number < len(self.trials):
            there = f"there are 0 to {len(self.trials) - 1}" if self.trials else "there is none yet"
            raise UserError(f"{self.folder}: has no trial {number} ({there})")
        return self._record(self.trials[number])

    def _record(self, trial: FrozenTrial) -> TrialRecord:
        return records.of(trial, self.objective, self.spending.trials.get(trial.number))


def read(name: str, studies: Path) -> StudyRead:
    """The study `name` in the folder `studies`, or in the folder `name`. Raises UserError if missing or damaged."""
    if not Path(name).is_absolute():
        refresh(studies / name)
    folder = next((path for path in (studies / name, Path(name)) if (path / "study.json").is_file()), None)
    if folder is None:
        found = sorted(path.parent.name for path in studies.glob("*/study.json"))
        there = f"there are {', '.join(found)}" if found else "there is none"
        raise UserError(f"{name}: no such study in {studies} ({there}); give its name or its folder")
    about = manifest.read(folder / "study.json")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = _load(about, folder / "optuna.journal")
    trials, audits = study.get_trials(deepcopy=False), study.user_attrs.get(AUDITS, {})
    converged = study.user_attrs.get(CONVERGED)
    return StudyRead(folder, about, trials, audits, SpendingFile.read(folder), converged)


def _load(about: Manifest, journal: Path) -> optuna.Study:
    try:
        if about.storage:
            storage: BaseStorage = checked(lambda: open_database(about.storage), about.storage)
        else:
            storage = JournalStorage(JournalFileBackend(str(journal)))
        return optuna.load_study(study_name=about.study, storage=storage)
    except (KeyError, ValueError) as error:
        if about.storage:
            raise UserError(
                f"{about.storage}: has no study {about.study}; restore it from your backup"
            ) from None
        raise UserError(f"{journal}: is damaged ({error}); restore it from your backup") from None
