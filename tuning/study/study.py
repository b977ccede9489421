"""Study: the folder of a named search, with all its state. The trials are in an Optuna study. One driver at a time.

<studies-dir>/<study>/
    study.json        what it was begun with (manifest.py)
    split.csv         which image is in which part of the data (data.py)
    optuna.journal    every trial, rung and verdict; Optuna's journal format, `optuna-dashboard` reads it
    trials/<number>/  recipe.yaml, hardware.json, metrics.jsonl, checkpoint-<step>/, pictures/, the trainer's files
                      (pipeline.config) and what the task keeps of each image (detections-<step>.npz)
    mlflow.json       which MLflow run is which trial, and what was logged there
    mlflow.lock       held by the process that writes to MLflow
    spending.json     the wall time so far, and what the running trials have cost (spent.py)
    summary.json      the result (summary.py)
    lock              held by the driver
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from trainers.errors import UserError
from trainers.files import write_text
from tuning.study import manifest, trial_record
from tuning.study.manifest import Manifest
from tuning.study.proposal import Proposal
from tuning.study.spent import SpendingFile, Spent
from tuning.study.storage.database_lock import LockLost
from tuning.study.storage.keys import JOURNAL
from tuning.study.storage.lock import StudyLock
from tuning.study.storage.opening import check_empty, give_up, in_database, write_manifest
from tuning.study.storage.stored import StoredStudy
from tuning.study.storage.trials import MANIFEST, OPTUNA_STATES, Trials, open_trials
from tuning.study.trial_folder import RECIPE, newest_checkpoint
from tuning.study.trial_record import Rung, TrialRecord
from tuning.study.verdict import Verdict, interrupted


class Study:
    """An open, locked study, from `Study.open` to `close`.

    folder: where it is. manifest: what it was begun with. objective: what it optimises.
    stored: its place in an object store; None without one.
    """

    def __init__(
        self,
        folder: Path,
        about: Manifest,
        lock: StudyLock,
        trials: Trials,
        stored: StoredStudy | None = None,
    ) -> None:
        self.folder = folder
        self.stored = stored
        self.manifest = about
        self.objective = about.resolved_objective()
        self._lock = lock
        self._trials = trials
        self._storage = trials.storage
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna.create_study(
            storage=self._storage,
            study_name=about.study,
            direction=self.objective.direction,
            load_if_exists=True,
        )
        self._id = self._storage.get_study_id_from_name(about.study)
        self._opened = time.monotonic()
        self._spending = SpendingFile.read(folder)
        self._earlier_seconds = max(float(self.attribute("wall_seconds", 0.0)), self._spending.wall_seconds)
        self._interrupt_orphans()

    @classmethod
    def open(
        cls,
        folder: Path,
        asked: Manifest,
        accept_space_change: bool = False,
        durable: bool = True,
        say: Callable[[str], None] = lambda line: None,
    ) -> Study:
        """Open the study in `folder`, or create it.

        asked: what the user asks for now; Manifest.resumed_with says which differences are allowed.
        durable: sync rungs and verdicts to disk, so that they survive a power cut. say: is called with a line when it
        waits for the lease of a study in a store.
        Raises UserError when the study has another space or other data, is in use or damaged, or cannot be written.
        """
        path = folder / manifest.NAME
        stored = StoredStudy.of(folder)
        if stored is not None:
            stored.refresh()
        if folder.exists() and not path.exists():
            check_empty(folder)
        lock, study = StudyLock(folder / "lock"), None
        try:
            if path.exists():
                manifest.read(path).resumed_with(asked, folder, 0, accept_space_change)
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            if stored is not None:
                stored.open(say)
            (folder / "trials").mkdir(exist_ok=True)
            before = manifest.read(path) if path.exists() else None
            if before is None:
                (folder / JOURNAL).unlink(missing_ok=True)  # without trials: its driver was killed
            trials = open_trials(folder, asked.storage, asked.study, durable)
            if before is None:
                asked = write_manifest(path, asked)
            study = cls(folder, before or asked, lock, trials, stored)
            if asked.storage:
                before = in_database(path, before, study.attribute(MANIFEST))
            if stored is not None:
                stored.delete_trials_from(len(study.trials()))
            about = asked
            if before is not None:
                about = before.resumed_with(asked, folder, len(study.trials()), accept_space_change)
                if about != before or not about.id:
                    about = write_manifest(path, about)
            study.manifest = about
            if about.storage:
                study.set_attribute(MANIFEST, about.to_dict())
        except OSError as error:
            give_up(lock, stored, study)
            raise UserError(
                f"{folder}: cannot be written: {error.strerror}; give another --studies-dir"
            ) from None
        except BaseException:
            give_up(lock, stored, study)
            raise
        return study

    @property
    def name(self) -> str:
        """The study's name."""
        return self.manifest.study

    @property
    def wall_seconds(self) -> float:
        """Seconds for which drivers have had this study open, earlier runs included."""
        return self._earlier_seconds + time.monotonic() - self._opened

    def renew_id(self) -> None:
        """Give the study another id: it is a copy."""
        self.manifest = write_manifest(self.folder / manifest.NAME, dataclasses.replace(self.manifest, id=""))

    def trial_folder(self, number: int) -> Path:
        """The folder of a trial's files."""
        return self.folder / "trials" / str(number)

    def saved_step(self, number: int) -> int:
        """The step of a trial's newest checkpoint, as far as the driver knows; 0 for none."""
        here = (newest_checkpoint(self.trial_folder(number)) or (0,))[0]
        there = self.stored is not None and self.stored.has_checkpoint(number)
        return max(here, self.record(number).step) if there else here

    def begin(
        self, proposal: Proposal, provenance: Mapping[str, str], files: Iterable[Path] = ()
    ) -> TrialRecord:
        """Create a trial, running, that trains the proposal.

        provenance: where the recipe comes from (TrialRecord.provenance); {} when the sampler proposed it.
        files: files and checkpoints of another trial, to start from; they are copied into the new trial's folder.
        """
        number = len(self.trials())
        folder = self.trial_folder(number)
        if folder.exists():  # left by a driver that was killed before it had added the trial to the journal
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        write_text(folder / RECIPE, proposal.recipe.to_yaml())
        for path in files:
            (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / path.name)
            if path.is_dir() and self.stored is not None:
                self.stored.push_folder(number, path.name, proposal.recipe.recipe_id)
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

    def resume(self, number: int) -> TrialRecord:
        """Set an interrupted trial to running."""
        self._storage.set_trial_state_values(self._trial_id(number), TrialState.RUNNING)
        return self.record(number)

    def promote(self, number: int) -> TrialRecord:
        """Change the decision at a paused trial's last rung to "continue"."""
        rung = self.record(number).rungs[-1]
        self._set(number, f"{trial_record.RUNG}{rung.step}", rung.to_dict() | {"decision": "continue"})
        self._trials.sync()
        return self.record(number)

    def report(self, number: int, rung: Rung) -> None:
        """Report a rung to Optuna. If a resumed trial reports a rung again, the first report counts."""
        trial = self.trial(number)
        if f"{trial_record.RUNG}{rung.step}" not in trial.user_attrs:
            self._set(number, f"{trial_record.RUNG}{rung.step}", rung.to_dict())
        if rung.step not in trial.intermediate_values:
            self._storage.set_trial_intermediate_value(trial._trial_id, rung.step, rung.value)
        self._trials.sync()
        if self.stored is not None:
            self.stored.note_checkpoint(number)

    def note_spent(self, number: int, spent: Spent) -> None:
        """Store what the trial has cost so far in the journal."""
        self._set(number, trial_record.SECONDS, spent.to_dict())

    def note_loss(self, number: int, machine: str) -> TrialRecord:
        """Store that the trial's worker died, with this machine, or alone if ""."""
        self._set(number, trial_record.LOSSES, [*self.record(number).losses, machine])
        return self.record(number)

    def save_spending(self, running: Mapping[int, Spent]) -> None:
        """Write the wall time and what the running trials have cost, so that a kill loses neither."""
        self._spending = SpendingFile(self.wall_seconds, dict(running))
        self._spending.write(self.folder)

    def tell(self, number: int, verdict: Verdict) -> TrialRecord:
        """End a trial with a verdict. Optuna gets the objective of the last rung for completed and pruned trials."""
        trial = self.trial(number)
        values = None
        if verdict.state in ("completed", "pruned") and trial.intermediate_values:
            values = [trial.intermediate_values[max(trial.intermediate_values)]]
        self._set(number, trial_record.VERDICT, verdict.to_dict())
        self._storage.set_trial_state_values(trial._trial_id, OPTUNA_STATES[verdict.state], values)
        self._optuna.set_user_attr("wall_seconds", self.wall_seconds)
        self._trials.sync()
        if verdict.final:
            self._trials.pack([self.trial(number)])
        return self.record(number)

    def record(self, number: int) -> TrialRecord:
        """The record of one trial."""
        return trial_record.of(self.trial(number), self.objective)

    def records(self) -> list[TrialRecord]:
        """The records of all trials, by number."""
        return [trial_record.of(trial, self.objective) for trial in self.trials()]

    def attribute(self, name: str, default: Any = None) -> Any:
        """A JSON value stored by `set_attribute`."""
        return self._optuna.user_attrs.get(name, default)

    def set_attribute(self, name: str, value: Any) -> None:
        """Store a JSON value as a user attribute of the Optuna study."""
        self._optuna.set_user_attr(name, value)
        self._trials.sync()

    def close(self) -> None:
        """Sync the journal and release the lock; without effect when the study is closed."""
        if self._trials.closed:
            return
        with contextlib.suppress(LockLost):  # whoever has taken over the study counts the time
            self._optuna.set_user_attr("wall_seconds", self.wall_seconds)
        self._trials.close()
        if self.stored is not None:
            self.stored.close()
        self._lock.release()

    def trials(self) -> list[FrozenTrial]:
        """Optuna's trials by number; not copies, do not change them."""
        return self._storage.get_all_trials(self._id, deepcopy=False)

    def trial(self, number: int) -> FrozenTrial:
        """One of Optuna's trials; not a copy, do not change it."""
        return self._storage.get_trial(self._trial_id(number))

    def _interrupt_orphans(self) -> None:
        # this process holds the lock, so trials that are still RUNNING belong to a driver that was killed
        for trial in self.trials():
            if trial.state == TrialState.RUNNING:
                live = self._spending.trials.get(trial.number)
                record = trial_record.of(trial, self.objective, live)
                if record.spent == live:
                    self.note_spent(trial.number, live)
                step = max(trial.intermediate_values, default=0)
                self.tell(trial.number, interrupted(step, "the driver was killed"))
        self._trials.pack([trial for trial in self.trials() if trial.state.is_finished()])

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)

    def _set(self, number: int, key: str, value: Any) -> None:
        self._storage.set_trial_user_attr(self._trial_id(number), key, value)
