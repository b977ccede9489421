"""TrialFiles: how a worker gets and keeps the files of its trials; here in a folder that all machines see."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Protocol

from trainers.errors import UserError
from trainers.recipe import Recipe
from tuning.study.trial_folder import RECIPE, newest_checkpoint

SEEN_SECONDS = (
    5.0  # until what the driver has written is seen here: network file systems cache what is in a folder
)


class TrialFiles(Protocol):
    """What a worker needs of the place where the study is kept.

    own_disk: whether each machine has its own, so that one that cannot be written leaves the others.
    """

    own_disk: bool

    def prepare(self, folder: Path, number: int, recipe: Recipe, reported: int) -> str:
        """Make a trial's folder ready on this machine, with its newest checkpoint if there is one anywhere.

        recipe: the trial's. reported: step of the last rung that the driver knows of; 0 for none.
        Returns "", or what the user must know: that the trial goes on from an earlier step than it had reached.
        Raises UserError when the trial cannot be trained here.
        """

    def saved(self, checkpoint: Path) -> None:
        """A checkpoint is complete. Returns at once."""

    def changed(self, folder: Path, step: int) -> None:
        """All other files of the trial at this step are written. Returns at once."""

    def moved(self) -> tuple[int, int]:
        """Bytes for the object store and bytes from it, since the last call.

        The first are those of what was handed to `saved` and `changed`; the second also of data and weights.
        """

    def finish(self, seconds: float) -> None:
        """Wait until all that was written is where another machine finds it; at most so long."""

    def settle(self) -> None:
        """Wait until all that was written is where another machine finds it. Raises UserError when it cannot be."""


class SharedFolder:
    """The study's folder is on a disk that the driver and all workers see."""

    own_disk = False

    def prepare(self, folder: Path, number: int, recipe: Recipe, reported: int) -> str:
        """See TrialFiles."""
        until = time.monotonic() + SEEN_SECONDS
        while not (folder / RECIPE).is_file():
            if time.monotonic() > until:
                raise UserError(
                    f"{folder}: is not on {socket.gethostname()}, where trial {number} was to be trained; give a "
                    "--studies-dir that all machines see, or s3://bucket/prefix"
                )
            time.sleep(0.1)
        newest = newest_checkpoint(folder)
        return gone(reported, newest[0] if newest else 0)

    def saved(self, checkpoint: Path) -> None:
        """Nothing to do."""

    def changed(self, folder: Path, step: int) -> None:
        """Nothing to do."""

    def moved(self) -> tuple[int, int]:
        """Nothing: the disk is no store that one pays for by the byte."""
        return 0, 0

    def finish(self, seconds: float) -> None:
        """Nothing to do."""

    def settle(self) -> None:
        """Nothing to do."""


def gone(reported: int, step: int) -> str:
    """The note on a trial that had reached `reported` and can go on only from `step`; "" if nothing is lost."""
    if step >= reported:
        return ""
    return f"its checkpoint of step {reported} is gone; it trains again from step {step}"
