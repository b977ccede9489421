"""Adapts Worker to Ray Tune's Trainable. Only small messages go through Ray; the worker writes checkpoints itself."""

from __future__ import annotations

import importlib
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

from ray import get_runtime_context
from ray.tune import Trainable
from ray.util import get_node_ip_address

from trainers.trainer import Trainer
from tuning.execution import stored_data
from tuning.execution.machines.draining import Draining
from tuning.execution.machines.leaving_out import Unfit
from tuning.execution.machines.losses import MachineGone
from tuning.execution.machines.software import difference
from tuning.execution.stored_files import stored_files
from tuning.execution.worker import Assignment, Trainers, Worker
from tuning.stores import weights as stored_weights

RESULT = "result"
UNFIT = "unfit"  # beside a result: that this machine cannot train


class TrialWorker(Trainable):
    """One process that runs trials, one after another: Ray reuses it by `reset_config`."""

    def setup(self, config: dict[str, Any], *, job: dict[str, Any]) -> None:
        """Make the worker. job: the fields of tuning.execution.engine.Job."""
        self._job = job
        self._differs = difference(job["software"])
        if not self._differs:  # otherwise a module may be missing
            for module in job["modules"]:
                importlib.import_module(module)
        self._files = stored_files(job["store"])
        self._trainers: Trainers | None = None
        self._worker = Worker(
            self._trainer,
            job["task"],
            job["chunk_seconds"],
            job["early_images"],
            job["save_seconds"],
            self._files,
            self._differs,
        )
        self._draining = Draining()
        self._stepping = self._terminated = False
        signal.signal(signal.SIGTERM, self._on_sigterm)
        self.reset_config(config)

    def _trainer(self, model: str, fold: int) -> Trainer:
        """The trainer of a model; the first one is made when data and weights are on this machine. Raises UserError."""
        if self._trainers is None:
            datasets = [self._job["dataset"], *self._job["folds"]]
            if self._files is not None:
                studies, store = self._files.studies, self._files.store
                datasets = [stored_data.fetch(dataset, studies, store) for dataset in datasets]
                stored_weights.fetch(self._job["weights"], store)
            dataset, *folds = datasets
            self._trainers = Trainers(self._job["factories"], dataset, self._job["options"], folds)
        return self._trainers(model, fold)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin the trial of a config made by ray_searcher.ray_config."""
        fields = new_config["assignment"]
        folder = Path(fields["folder"]) if self._files is None else self._files.folder(fields["number"])
        self._worker.begin(Assignment(**(fields | {"folder": folder})))
        return True

    def step(self) -> dict[str, Any]:
        """Run a chunk of the trial; returns the StepResult as the only entry."""
        if unfit := self._unfit():
            raise MachineGone(get_node_ip_address(), unfit.reason)
        if self._draining():
            self._worker.keep()
            raise MachineGone(get_node_ip_address(), "is about to go")
        self._stepping = True
        result = self._worker.step()
        self._stepping = False
        if self._terminated:
            self._save_and_exit()
        return {RESULT: result, UNFIT: self._unfit()}

    def _unfit(self) -> Unfit | None:
        """That this machine cannot train; None while it can."""
        if not self._worker.unfit:
            return None
        folder = "" if self._differs or self._files is None else str(self._files.studies)
        return Unfit(get_runtime_context().get_node_id(), folder, self._worker.unfit)

    def cleanup(self) -> None:
        """Save the trial, since the process ends."""
        self._worker.keep()

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        """The machine is about to go, such as a spot instance: save, after the present chunk, and exit."""
        self._terminated = True
        if not self._stepping:
            self._save_and_exit()

    def _save_and_exit(self) -> None:
        self._worker.keep()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Never called: the worker saves checkpoints in the trial's folder."""
        raise NotImplementedError("a trial's checkpoints are in its study's folder")

    load_checkpoint = save_checkpoint
