"""A Worker as a Ray Tune class Trainable. Ray moves only small messages; checkpoints are the worker's own affair."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ray.tune import Trainable

from tuning.execution.worker import Assignment, Trainers, Worker

RESULT = "result"


class TrialWorker(Trainable):
    """One process that runs trials; Ray gives it the next by `reset_config`, and so the process stays."""

    def setup(self, config: dict[str, Any], *, job: dict[str, Any]) -> None:
        """`job`: the fields of tuning.execution.engine.Job, which all trials share."""
        for module in job["modules"]:
            importlib.import_module(module)
        trainers = Trainers(job["factories"], job["dataset"], job["options"])
        self._worker = Worker(trainers, job["task"], job["chunk_seconds"], job["early_images"])
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take on the trial that `assignment` made `new_config` of."""
        fields = new_config["assignment"]
        self._worker.begin(Assignment(**(fields | {"folder": Path(fields["folder"])})))
        return True

    def step(self) -> dict[str, Any]:
        """A chunk of the trial; the StepResult is the one entry, so that Ray has nothing to unpack."""
        return {RESULT: self._worker.step()}

    def cleanup(self) -> None:
        """The process ends, with its trial perhaps in the middle."""
        self._worker.keep()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Ray is never asked to save; a trial's checkpoints are in its folder."""
        raise NotImplementedError("a trial's checkpoints are in its study's folder")

    load_checkpoint = save_checkpoint
