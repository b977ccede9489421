"""Study: a named search's folder and its truth, an Optuna study in a journal file. One driver at a time.

<studies-dir>/<study>/
    study.json        what it was begun with (manifest.py)
    split.csv         which image is in which part of the data (data.py)
    optuna.journal    every trial, rung and verdict; Optuna's journal format, `optuna-dashboard` reads it
    trials/<number>/  recipe.yaml, hardware.json, metrics.jsonl, checkpoint-<step>/, pictures/, the trainer's files
                      (pipeline.config) and what the task keeps of each image (detections-<step>.npz)
    mlflow.json       which MLflow run is which trial, and what was logged there
    mlflow.lock       held by the process that writes to MLflow
    summary.json      the result (summary.py)
    lock              held by the driver
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from trainers.errors import UserError
from trainers.files import write_text
from tuning.study import manifest, trial_record
from tuning.study.journal import StudyJournal
from tuning.study.lock import StudyLock
from tuning.study.manifest import Manifest
from tuning.study.packing import pack
from tuning.study.proposal import Proposal
from tuning.study.trial_record import Rung, TrialRecord
from tuning.study.verdict import Verdict, interrupted

# Optuna's states for verdicts; an interrupted trial waits to be taken up again
TOLD = {
    "completed": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "interrupted": TrialState.WAITING,
}


class Study:
    """An open study. Made by `Study.open`; `close` ends it."""

    def __init__(self, folder: Path, about: Manifest, lock: StudyLock, durable: bool) -> None:
        self.folder = folder
        self.manifest = about
        self.objective = about.resolved_objective()
        self._lock = lock
        self._journal = StudyJournal(folder / "optuna.journal", durable)
        self._storage = JournalStorage(self._journal)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna.create_study(
            storage=self._storage,
            study_name=about.study,
            direction=self.objective.direction,
            load_if_exists=True,
        )
        self._id = self._storage.get_study_id_from_name(about.study)
        self._opened = time.monotonic()
        self._earlier_seconds = float(self._optuna.user_attrs.get("wall_seconds", 0.0))
        self._take_in_the_killed()

    @classmethod
    def open(
        cls, folder: Path, asked: Manifest, accept_space_change: bool = False, durable: bool = True
    ) -> Study:
        """The study in `folder`, begun there when it is new.

        asked: what the user wants now; a study goes on as Manifest.going_on says.
        durable: whether the disk is to hold what is told, against a power cut; a simulation does without.
        Raises UserError when it is another space's or other data's, in use, damaged, or cannot be written.
        """
        path = folder / "study.json"
        if folder.exists() and not path.exists() and any(entry.name != "lock" for entry in folder.iterdir()):
            raise UserError(f"{folder}: exists and is not a study; give another --study or --studies-dir")
        lock = StudyLock(folder / "lock")
        try:
            if path.exists():
                manifest.read(path).going_on(asked, folder, 0, accept_space_change)
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            (folder / "trials").mkdir(exist_ok=True)
            before = manifest.read(path) if path.exists() else None
            study = cls(folder, before or asked, lock, durable)
            about = (
                before.going_on(asked, folder, len(study.trials()), accept_space_change) if before else asked
            )
            if about != before:
                write_text(path, json.dumps(about.to_dict(), indent=2, ensure_ascii=False))
            study.manifest = about
        except OSError as error:
            lock.release()
            raise UserError(
                f"{folder}: cannot be written: {error.strerror}; give another --studies-dir"
            ) from None
        except BaseException:
            lock.release()
            raise
        return study

    @property
    def name(self) -> str:
        """The study's name."""
        return self.manifest.study

    @property
    def wall_seconds(self) -> float:
        """Seconds that a driver has had this study open, this time and before."""
        return self._earlier_seconds + time.monotonic() - self._opened

    def trial_folder(self, number: int) -> Path:
        """Where the trial's files are."""
        return self.folder / "trials" / str(number)

    def begin(
        self, proposal: Proposal, provenance: Mapping[str, str], checkpoint: Path | None = None
    ) -> TrialRecord:
        """A new trial that runs what was proposed; `provenance` says where the recipe comes from, {} the search.

        checkpoint: another trial's, that it goes on from.
        """
        number = len(self.trials())
        folder = self.trial_folder(number)
        if folder.exists():  # of a driver that was killed before the trial was one
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        write_text(folder / "recipe.yaml", proposal.recipe.to_yaml())
        if checkpoint is not None:
            shutil.copytree(checkpoint, folder / checkpoint.name)
        recipe = {
            trial_record.RECIPE_ID: proposal.recipe.recipe_id,
            trial_record.RECIPE: proposal.recipe.to_dict(),
        }
        self._optuna.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING,
                params=dict(proposal.params),
                distributions=dict(proposal.distributions),
                user_attrs=recipe | ({trial_record.PROVENANCE: dict(provenance)} if provenance else {}),
            )
        )
        return self.record(number)

    def take_up(self, number: int) -> TrialRecord:
        """Let an interrupted trial run again."""
        self._storage.set_trial_state_values(self._trial_id(number), TrialState.RUNNING)
        return self.record(number)

    def promote(self, number: int) -> TrialRecord:
        """Let a trial that waits at its last rung go on past it."""
        rung = self.record(number).rungs[-1]
        self._set(number, f"{trial_record.RUNG}{rung.step}", rung.to_dict() | {"decision": "continue"})
        self._journal.sync()
        return self.record(number)

    def report(self, number: int, rung: Rung) -> None:
        """Tell Optuna of a rung, the last one too. Said twice (a resumed trial), the first word counts."""
        trial = self.trial(number)
        if f"{trial_record.RUNG}{rung.step}" not in trial.user_attrs:
            self._set(number, f"{trial_record.RUNG}{rung.step}", rung.to_dict())
        if rung.step not in trial.intermediate_values:
            self._storage.set_trial_intermediate_value(trial._trial_id, rung.step, rung.value)
        self._journal.sync()

    def note_seconds(self, number: int, training: float, overhead: float) -> None:
        """Keep what the trial has cost so far, in seconds of its worker."""
        self._set(number, trial_record.SECONDS, {"training": training, "overhead": overhead})

    def tell(self, number: int, verdict: Verdict) -> TrialRecord:
        """End a trial. Completed and pruned trials are told with the objective of their last rung."""
        trial = self.trial(number)
        values = None
        if verdict.state in ("completed", "pruned") and trial.intermediate_values:
            values = [trial.intermediate_values[max(trial.intermediate_values)]]
        self._set(number, trial_record.VERDICT, verdict.to_dict())
        self._storage.set_trial_state_values(trial._trial_id, TOLD[verdict.state], values)
        self._optuna.set_user_attr("wall_seconds", self.wall_seconds)
        self._journal.sync()
        if verdict.final:
            pack(self._storage, [self.trial(number)])
        return self.record(number)

    def record(self, number: int) -> TrialRecord:
        """What is known of one trial."""
        return trial_record.of(self.trial(number), self.objective)

    def records(self) -> list[TrialRecord]:
        """What is known of every trial, by number."""
        return [trial_record.of(trial, self.objective) for trial in self.trials()]

    def attribute(self, name: str, default: Any = None) -> Any:
        """A value that `set_attribute` kept with the study."""
        return self._optuna.user_attrs.get(name, default)

    def set_attribute(self, name: str, value: Any) -> None:
        """Keep a JSON value with the study."""
        self._optuna.set_user_attr(name, value)
        self._journal.sync()

    def close(self) -> None:
        """Sync everything and let other drivers in; without effect when it is closed."""
        if self._journal.closed:
            return
        self._optuna.set_user_attr("wall_seconds", self.wall_seconds)
        self._journal.close()
        self._lock.release()

    def trials(self) -> list[FrozenTrial]:
        """Every trial by number, as Optuna keeps it; not to be changed."""
        return self._storage.get_all_trials(self._id, deepcopy=False)

    def trial(self, number: int) -> FrozenTrial:
        """One trial, as Optuna keeps it; not to be changed."""
        return self._storage.get_trial(self._trial_id(number))

    def _take_in_the_killed(self) -> None:
        # we hold the lock: who is still RUNNING ran under a driver that is no more
        for trial in self.trials():
            if trial.state == TrialState.RUNNING:
                step = max(trial.intermediate_values, default=0)
                self.tell(trial.number, interrupted(step, "the driver was killed"))
        pack(self._storage, [trial for trial in self.trials() if trial.state.is_finished()])

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)

    def _set(self, number: int, key: str, value: Any) -> None:
        self._storage.set_trial_user_attr(self._trial_id(number), key, value)
