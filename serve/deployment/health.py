"""Health: whether a replica can work: the champion is loaded, it finds something in a sample, the disk takes files."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import TimeoutError as FutureTimeoutError

import numpy as np

from serve.backends.batching import NetworkFailed
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.exports.loaded_models import LoadedModels, Model
from trainers.errors import UserError
from trainers.files import write_bytes

NETWORK_SECONDS = 60.0  # without an answer for this long, the device hangs
RECHECK_SECONDS = 1.0
MAX_RECHECK_SECONDS = 30.0
PROBE_BYTES = 1 << 16


class Health:
    """The state of one replica.

    hung: what makes no progress in it, one line, or None. network_failed: whether the champion was loaded, but does not
    work any longer. After either, only a new process may help.
    """

    def __init__(self, settings: Settings, models: LoadedModels, rollout: Rollout) -> None:
        self._settings, self._models, self._rollout = settings, models, rollout
        self._samples: dict[str, tuple[np.ndarray, int]] = {}
        self._lock = threading.Lock()
        self._due = 0.0
        self._pause = RECHECK_SECONDS
        self._found: str | None = None
        self.hung: str | None = None
        self.network_failed = False

    @property
    def problem(self) -> str | None:
        """Why the replica takes no jobs, one line, or None."""
        return self.hung or self._found

    def check(self) -> str | None:
        """Check everything now but what hangs; the problem, or None."""
        with self._lock:
            self.network_failed = False
            try:
                self._check_disk()
                self._check_champion()
            except NetworkFailed as error:
                self.network_failed = True
                self._found = f"the model failed on its own sample: {one_line(error)}"
            except Exception as error:  # noqa: BLE001 - reported by /readyz
                self._found = one_line(error)
            else:
                self._found = None
            self._pause = min(MAX_RECHECK_SECONDS, 2 * self._pause) if self._found else RECHECK_SECONDS
            self._due = time.monotonic() + self._pause
            return self._found

    def recheck(self) -> None:
        """While there is a problem, check again from time to time: it may be over."""
        if self._found is not None and time.monotonic() >= self._due:
            self.check()

    def _check_disk(self) -> None:
        if shutil.disk_usage(self._settings.data).free < self._settings.limits.free_bytes // 2:
            raise UserError("the disk of the data folder is nearly full")
        path = self._settings.jobs_folder / f".probe-{threading.get_native_id()}"
        try:
            write_bytes(path, bytes(PROBE_BYTES))
        except OSError as error:
            raise UserError(f"the data folder cannot be written: {error.strerror}") from None
        path.unlink(missing_ok=True)

    def _check_champion(self) -> None:
        champion = self._rollout.state().champion
        if champion is None:
            return
        with self._models.using(champion) as model:
            image, expected = self._sample(champion, model)
            try:
                found = model.batcher.submit(image, urgent=True).result(NETWORK_SECONDS)
            except (FutureTimeoutError, RuntimeError) as error:
                raise NetworkFailed(f"no answer ({type(error).__name__})") from None
            if problem := model.task.problem(model.export, found, expected):
                raise NetworkFailed(f"it {problem}")

    def _sample(self, champion: str, model: Model) -> tuple[np.ndarray, int]:
        """One of the export's own images, and how much the trained model found in it."""
        if champion not in self._samples:
            self._samples = {champion: model.task.health_sample(model.export)}
        return self._samples[champion]


def one_line(error: Exception) -> str:
    """The error in one line, with its type if it is not one for users."""
    text = str(error) if isinstance(error, UserError | NetworkFailed) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:300]
