"""Replica: one process of the deployment; it answers image requests and runs jobs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from serve.backends.batching import NetworkFailed
from serve.deployment.budget import Budget
from serve.deployment.evidence import Evidence
from serve.deployment.health import Health, one_line
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.deployment.shadowing import shadowing
from serve.errors import Refused
from serve.exports.loaded_models import LoadedModels, Model
from serve.images import decode_image, pixels
from serve.jobs.batches import Batches
from serve.jobs.options import Options
from serve.jobs.queue import JobQueue
from serve.jobs.running import JobRunner
from serve.jobs.store import JobStore
from serve.jobs.watchdog import Stalled
from serve.metrics.counters import Counters
from serve.metrics.networks import NetworkCounts
from serve.storage.opening import open_database, open_files, open_secret
from serve.webhooks import signing
from serve.webhooks.outbox import Outbox
from serve.webhooks.sending import Sender

HUNG_SECONDS = 1.0  # that threads get to end when one of them hangs
POLL_SECONDS = 0.25  # between two looks for a job or a message
SENDERS = 2  # a receiver that does not answer holds one of them up for seconds
MAINTENANCE_SECONDS = 1.0  # each round syncs the database to disk
CLEANUP_SECONDS = 60.0
ABANDONED_SECONDS = 6 * 3600  # age of an upload that never ended at which it is removed

log = logging.getLogger(__name__)


class Replica:
    """Starts working when constructed, until `close`. Any number, in any processes, may be of one deployment."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        database = open_database(settings)
        self._counters = Counters(database)
        self._rollout = Rollout(database, self._counters)
        self._store = JobStore(database, open_files(settings))
        self._queue = JobQueue(database)
        self._models = LoadedModels(settings)
        self._health = Health(settings, self._models, self._rollout)
        self._stopping = threading.Event()
        self._id = uuid.uuid4().hex
        self._evidence = Evidence(database)
        self._pixels = Budget(settings.limits.request_pixels, "pixels")
        self._networks = NetworkCounts(self._counters)
        self._health.check()  # loads the champion; /readyz reports why it cannot, and one that loads may follow
        self._runner = runner = JobRunner(
            settings, self._store, self._queue, self._models, self._rollout, self._counters, self._health,
            self._evidence, self._stopping,
        )  # fmt: skip
        self._rollout.beat(self._id)
        self._threads = [
            threading.Thread(target=self._repeat, args=(runner.run_one,), name=f"jobs-{i}", daemon=True)
            for i in range(settings.jobs_at_once)
        ]
        self._threads.append(threading.Thread(target=self._maintain, name="maintenance", daemon=True))
        self._outbox, self._batches = Outbox(database), Batches(self._store)
        secret = open_secret(settings, signing.NAME, database)
        sender = Sender(settings, self._outbox, self._batches, self._counters, secret)
        self._threads += [
            threading.Thread(target=self._repeat, args=(sender.send_one,), name=f"webhooks-{i}", daemon=True)
            for i in range(SENDERS)
        ]
        for thread in self._threads:
            thread.start()

    async def find(
        self, images: Sequence[bytes], model_id: str, options: Options, verb: str
    ) -> dict[str, Any]:
        """Encoded images -> the model's id, and size and objects, or regions, of each image.

        verb: what is asked for, as ServedTask.verb. Raises Refused: 409 when the model is of another task, 413 when the
        images have too many pixels in all, 422 when one cannot be decoded, 503 when the champion fails. When a
        candidate fails, the champion answers instead.
        """
        async with self._pixels.taken(await asyncio.to_thread(lambda: sum(map(pixels, images)))):
            decoded = await asyncio.to_thread(
                lambda: [decode_image(each, self._settings.limits) for each in images]
            )
            return await self._find_in(decoded, model_id, options, verb)

    async def _find_in(
        self, decoded: Sequence[np.ndarray], model_id: str, options: Options, verb: str
    ) -> dict[str, Any]:
        champion = (await asyncio.to_thread(self._rollout.state)).champion
        for model in dict.fromkeys((model_id, champion or model_id)):
            try:
                return await self._find_with(decoded, model, options, verb)
            except Refused:
                raise
            except Exception as error:
                log.error("model %s failed on an image request: %s", model, one_line(error), exc_info=error)
        await asyncio.to_thread(self._health.check)
        raise Refused(503, "the model cannot be used now; see the server's log", retry_after=10)

    def about(self) -> dict[str, Any]:
        """The loaded models with their backends, and why this replica cannot work (or None)."""
        models = {
            name: {"backend": model.choice.backend, "table": model.choice.table()}
            for name, model in self._models.all().items()
        }
        return {"models": models, "problem": self._health.problem}

    def check_network(self) -> None:
        """Run a sample through the network. Raises NetworkFailed or Stalled when only a new process may help."""
        if self._health.hung is not None:
            raise Stalled(self._health.hung)
        self._health.check()
        if self._health.network_failed:
            raise NetworkFailed(self._health.problem)

    def jobs(self) -> int:
        """Unfinished jobs of the whole deployment."""
        return self._store.unfinished()

    def close(self) -> None:
        """Stop at the next frame. Another replica, or a later one, resumes the jobs after their last segment."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(None if self._health.hung is None else HUNG_SECONDS)
        self._record_counts()
        self._counters.flush()
        self._evidence.flush()
        self._rollout.gone(self._id)
        self._models.close()

    async def _find_with(
        self, images: Sequence[np.ndarray], model_id: str, options: Options, verb: str
    ) -> dict[str, Any]:
        with contextlib.ExitStack() as stack:
            model = await asyncio.to_thread(stack.enter_context, self._models.using(model_id))
            if model.task.verb != verb:
                raise Refused(409, f"the model is for {model.task.title}; use /v1/images:{model.task.verb}")
            model.task.check_for(model.export.classes, options)
            return await self._find(images, model_id, model, options)

    async def _find(
        self, images: Sequence[np.ndarray], model_id: str, model: Model, options: Options
    ) -> dict[str, Any]:
        futures = await asyncio.to_thread(self._submit, images, model, options)
        found = await asyncio.gather(*map(asyncio.wrap_future, futures))

        def answer() -> dict[str, Any]:
            answers = []
            for image, each in zip(images, found, strict=True):
                height, width = image.shape[:2]
                detected = model.task.findings(each, model.export, options, height, width)
                answers.append(
                    {
                        "height": height,
                        "width": width,
                        "objects": [o.to_dict(height, width) for o in detected],
                    }
                )
            return {"model": model_id, "images": answers}

        return await asyncio.to_thread(answer)  # masks take longer than an event loop should wait

    def _submit(self, images: Sequence[np.ndarray], model: Model, options: Options) -> list[Future[Any]]:
        """Give the images to the network, and during a canary phase some of them to the other model as well."""
        least = model.task.least_score(model.export, options)
        futures = [model.batcher.submit(model.export.square(image), True, least) for image in images]
        minute = f"images-{time.time() // 60:.0f}"  # requests of a minute may come from one camera: they are one unit
        with shadowing(
            self._rollout.state(), self._models, self._evidence, model, minute, len(images)
        ) as shadow:
            if shadow is not None:
                for image, future in zip(images, futures, strict=True):
                    shadow(image, future)
        return futures

    def _repeat(self, work: Callable[[], bool]) -> None:
        """Call `work` until the replica stops; after False, which says that there is none, with a pause."""
        while not self._stopping.is_set():
            try:
                worked = work()
            except Exception:
                log.exception("unexpected error in %s", threading.current_thread().name)
                worked = False
            if not worked:
                self._stopping.wait(POLL_SECONDS)

    def _maintain(self) -> None:
        cleanup = time.monotonic()
        while not self._stopping.wait(MAINTENANCE_SECONDS):
            try:
                self._record_counts()
                self._counters.flush()
                self._evidence.flush()
                self._rollout.beat(self._id)
                self._health.recheck()
                self._runner.end_stalled()
                self._load_candidate()
                self._rollout.judge()
                if time.monotonic() >= cleanup:
                    cleanup = time.monotonic() + CLEANUP_SECONDS
                    self._clean_up()
            except Exception:
                log.exception("maintenance failed; trying again")

    def _load_candidate(self) -> None:
        state = self._rollout.state()
        if state.candidate is None or state.candidate.phase != "loading":
            return
        try:
            with self._models.using(state.candidate.model):
                pass
        except Exception as error:  # noqa: BLE001 - reported by /readyz and by serve.promote
            self._rollout.failed(state.candidate.model, one_line(error))
            return
        self._rollout.loaded(state.candidate.model, self._id)

    def _record_counts(self) -> None:
        """Add what the batchers counted since the last call to the counters."""
        for export_id, model in self._models.all().items():
            self._networks.record(export_id, model.batcher)

    def _clean_up(self) -> None:
        """Remove expired jobs, and folders that a killed process left behind."""
        limits = self._settings.limits
        for job_id in self._store.expired(limits.job_days, limits.result_bytes):
            self._store.remove(job_id)
        self._batches.clean_up()
        self._outbox.clean_up(limits.job_days * 86_400)
        self._store.files.sweep(self._store.exists, self._store.active)
        for entry in (self._settings.data / "incoming").glob("*"):
            if time.time() - entry.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(entry, ignore_errors=True)
