"""Replica: one process's share of the work: it answers image requests, and runs jobs that nobody else holds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from serve import detections
from serve.deployment.counters import Counters
from serve.deployment.database import Database
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.exports.models import Model, Models
from serve.images import decoded
from serve.jobs.options import Options
from serve.jobs.running import JobRunner
from serve.jobs.store import JobStore
from trainers.errors import UserError

LOOK_SECONDS = 0.25  # between looks for a job
HOUSE_SECONDS = (
    1.0  # between looks for a new model, and what was counted being written: each is a sync of the disk
)
SWEEP_SECONDS = 60.0

log = logging.getLogger(__name__)


class Replica:
    """Begins to work when it is made; `close` ends it. Several, in any processes, share one settings.data."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        database = Database(settings.data / "serve.sqlite")
        self._counters = Counters(database)
        self._rollout = Rollout(database, self._counters)
        self._store = JobStore(database, settings.jobs_folder)
        self._models = Models(settings)
        self._stopping = threading.Event()
        self._written: dict[tuple[str, Any], float] = {}
        self.problem: str | None = None
        champion = self._rollout.state().champion
        if champion is not None:
            try:
                with self._models.using(champion):
                    pass
            except Exception as error:  # noqa: BLE001 - readyz tells it; the replica waits for a model that loads
                self.problem = _one_line(error)
        runner = JobRunner(settings, self._store, self._models, self._rollout, self._counters, self._stopping)
        self._threads = [
            threading.Thread(target=self._run_jobs, args=(runner,), name=f"jobs-{i}", daemon=True)
            for i in range(settings.jobs_at_once)
        ]
        self._threads.append(threading.Thread(target=self._keep_house, name="house", daemon=True))
        for thread in self._threads:
            thread.start()

    async def detect(self, images: Sequence[bytes], model_id: str, options: Options) -> dict[str, Any]:
        """Encoded images -> model, and for each image its size and objects.

        Raises Refused when an image cannot be read. If a model that is being tried fails, the champion answers.
        """
        pictures = await asyncio.to_thread(lambda: [decoded(each, self._settings.limits) for each in images])
        try:
            return await self._answer(pictures, model_id, options)
        except Exception:
            champion = self._rollout.state().champion
            if champion is None or champion == model_id:
                raise
            return await self._answer(pictures, champion, options)

    def about(self) -> dict[str, Any]:
        """What is loaded here, and why something is not."""
        models = {
            name: {"backend": model.choice.backend, "table": model.choice.table()}
            for name, model in self._models.loaded().items()
        }
        return {"models": models, "problem": self.problem}

    def jobs(self) -> int:
        """How many jobs of the whole deployment wait or run."""
        return self._store.unfinished()

    def close(self) -> None:
        """Stop at the next frame; jobs go on elsewhere, or later, from their last segment."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._tally()
        self._counters.flush()
        self._models.close()

    async def _answer(
        self, pictures: Sequence[np.ndarray], model_id: str, options: Options
    ) -> dict[str, Any]:
        with contextlib.ExitStack() as stack:
            model = await asyncio.to_thread(stack.enter_context, self._models.using(model_id))
            return await self._detected(pictures, model_id, model, options)

    async def _detected(
        self, pictures: Sequence[np.ndarray], model_id: str, model: Model, options: Options
    ) -> dict[str, Any]:
        squares = [model.export.framing.square(picture) for picture in pictures]
        found = await asyncio.gather(
            *(asyncio.wrap_future(model.batcher.submit(square, urgent=True)) for square in squares)
        )
        answers = []
        for picture, each in zip(pictures, found, strict=True):
            height, width = picture.shape[:2]
            objects = detections.of(each, model.export, options, height, width)
            answers.append(
                {"height": height, "width": width, "objects": [o.to_dict(height, width) for o in objects]}
            )
        return {"model": model_id, "images": answers}

    def _run_jobs(self, runner: JobRunner) -> None:
        while not self._stopping.is_set():
            try:
                worked = runner.run_one()
            except Exception:
                log.exception("a job met an unexpected error")
                worked = False
            if not worked:
                self._stopping.wait(LOOK_SECONDS)

    def _keep_house(self) -> None:
        sweep = time.monotonic()
        while not self._stopping.wait(HOUSE_SECONDS):
            try:
                self._tally()
                self._counters.flush()
                self._take_up_candidate()
                self._rollout.judge()
                if time.monotonic() >= sweep:
                    sweep = time.monotonic() + SWEEP_SECONDS
                    self._sweep()
            except Exception:
                log.exception("housekeeping failed; it is tried again")

    def _take_up_candidate(self) -> None:
        state = self._rollout.state()
        if self.problem is not None and state.champion in self._models.loaded():
            self.problem = None
        if state.candidate is None or state.candidate.phase != "loading":
            return
        try:
            with self._models.using(state.candidate.model):
                pass
        except Exception as error:  # noqa: BLE001 - the candidate's failure, told by readyz and the promoting command
            self._rollout.failed(state.candidate.model, _one_line(error))
            return
        self._rollout.loaded(state.candidate.model)

    def _tally(self) -> None:
        """Hand what the batchers counted since the last time to the counters."""
        for export_id, model in self._models.loaded().items():
            for name, value in dict(model.batcher.tally).items():
                since = value - self._written.get((export_id, name), 0.0)
                self._written[export_id, name] = value
                if not since:
                    continue
                if isinstance(name, tuple):
                    self._counters.add(name[0], since, size=str(name[1]))
                elif name == "seconds":
                    self._counters.add("stage_seconds", since, stage="network")
                else:
                    self._counters.add(name, since, model=export_id)

    def _sweep(self) -> None:
        """Remove finished jobs beyond their time or the disk's, and folders that a killed process left behind."""
        limits = self._settings.limits
        for job_id in self._store.expired(limits.job_days, limits.result_bytes):
            self._store.cancel(job_id)
        for folder in (self._settings.data / "incoming", self._settings.jobs_folder):
            for entry in folder.glob("*"):
                old = time.time() - entry.stat().st_mtime > 6 * 3600
                if old and not self._store.known(entry.name):
                    shutil.rmtree(entry, ignore_errors=True)


def _one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:300]
