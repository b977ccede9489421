"""Saving: writes a trial's checkpoints in the background, and keeps the newest complete one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from trainers.trainer import Trainer
from tuning.study.trial_folder import CHECKPOINT, newest_checkpoint

SAVE_SECONDS = 300.0  # between checkpoints: what a kill costs at most


class Saving:
    """The checkpoints of one trial in its folder, from `start` of its trainer on.

    every: seconds from one checkpoint until the next is due. saved: is called with each complete checkpoint.
    step: of the newest checkpoint, which may still be being written; 0 for none.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        every: float = SAVE_SECONDS,
        saved: Callable[[Path], None] = lambda checkpoint: None,
    ) -> None:
        self._saved = saved
        self._trainer = trainer
        self._folder = folder
        self._every = every
        self._writing: tuple[Future[None], Path] | None = None
        self._since = time.monotonic()
        newest = newest_checkpoint(folder)
        self.step = newest[0] if newest else 0
        self._keep_only(newest[1] if newest else None)

    @property
    def due(self) -> bool:
        """Whether the newest checkpoint is complete and older than `every` seconds, and the trainer has advanced."""
        old = self._writing is None and time.monotonic() - self._since >= self._every
        return old and self._trainer.step > self.step

    def begin(self) -> None:
        """Begin a checkpoint of the trainer's present state, unless there is one of this step."""
        self.finish()
        if self._trainer.step == self.step:
            return
        target = self._folder / f"{CHECKPOINT}{self._trainer.step}"
        self._writing = self._trainer.save(target), target
        self.step, self._since = self._trainer.step, time.monotonic()

    def poll(self) -> None:
        """Delete the older checkpoints if the newest is complete. Raises OSError when it could not be written."""
        if self._writing is not None and self._writing[0].done():
            self.finish()

    def finish(self) -> None:
        """Wait until the newest checkpoint is complete, and delete the older ones. Raises OSError as `poll`."""
        if self._writing is not None:
            (written, target), self._writing = self._writing, None
            written.result()
            self._saved(target)
            self._keep_only(target)

    def _keep_only(self, newest: Path | None) -> None:
        """Delete older checkpoints, and incomplete ones of a killed process."""
        for entry in self._folder.iterdir():
            if CHECKPOINT in entry.name and entry.is_dir() and entry != newest:
                shutil.rmtree(entry)
