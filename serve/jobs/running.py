"""JobRunner: runs one job, from its last finished segment to its end, while holding its lock."""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from serve.backends.batching import NetworkFailed
from serve.deployment.evidence import Evidence
from serve.deployment.health import Health, one_line
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.deployment.shadowing import Shadow, shadowing
from serve.exports.loaded_models import LoadedModels, Model
from serve.jobs.faults import ModelUnavailable, fault_of, pause
from serve.jobs.job import Job
from serve.jobs.progress import Progress
from serve.jobs.queue import JobQueue
from serve.jobs.slots import Slots
from serve.jobs.store import JobStore
from serve.jobs.watchdog import Watchdog
from serve.metrics.counters import Counters
from serve.metrics.histogram import Histogram
from serve.storage import outputs
from serve.storage.job_files import INPUT
from serve.storage.sources import fetch
from serve.video.annotating import RESULT, WORK, annotate
from serve.video.opening import VideoFacts, probe
from serve.video.pipeline import Cancelled
from trainers.files import write_text

MAX_ATTEMPTS = 8  # without a new segment in between; then the video is assumed to crash the process
SUSPECT_ATTEMPTS = (
    3  # from then on the job runs alone, so that no other job's attempts are counted for its crashes
)
STAMP = "model"  # file in the folder of segments: the export id of the model that made them
REPORT_SECONDS = 0.5

log = logging.getLogger(__name__)


class JobRunner:
    """Runs jobs in the calling thread. stopping: set when the process is to end."""

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        queue: JobQueue,
        models: LoadedModels,
        rollout: Rollout,
        counters: Counters,
        health: Health,
        evidence: Evidence,
        stopping: threading.Event,
    ) -> None:
        self._settings, self._store, self._queue, self._models = settings, store, queue, models
        self._files = store.files
        self._rollout, self._counters, self._health = rollout, counters, health
        self._evidence, self._stopping = evidence, stopping
        self._slots = Slots()
        self.watchdog = Watchdog(settings.limits.stall_seconds)

    def run_one(self) -> bool:
        """Run the oldest job that is due and not locked. False when there is none, or this replica cannot work."""
        if self._health.problem is not None:
            return False
        for job in self._queue.due():
            with (
                self._slots.taken(alone=job.attempts >= SUSPECT_ATTEMPTS) as granted,
                self._store.lock(job.id) if granted else contextlib.nullcontext(False) as held,
            ):
                if held and self._run(job):
                    return True
        return False

    def _run(self, due: Job) -> bool:
        segments = self._files.segments(due)
        before = time.time()
        job = self._queue.start(due.id, segments)
        if job is None:
            return False
        if job.started is not None and job.started >= before:  # its first start
            self._counters.observe("job_queue_seconds", job.started - job.created)
        if job.attempts > MAX_ATTEMPTS:
            self._fail(
                job, f"the process working on it crashed {MAX_ATTEMPTS} times at the same place in the video"
            )
            return True
        try:
            with self.watchdog.watching(job) as alive:
                self._process(job, self._files.folder(job.id), alive)
        except Cancelled:
            self._given_up(job)
        except Exception as error:  # noqa: BLE001 - every fault is stored with its job
            self._tried(job, error)
        return True

    def end_stalled(self) -> None:
        """End the tries of this process that make no progress. It takes no more jobs then, and is to be replaced.

        Their threads hold the locks of their jobs until they go on, when they give up, or until the process ends.
        """
        for job, error in self.watchdog.stalled():
            self._tried(job, error)
        self._health.hung = self.watchdog.problem

    def _given_up(self, job: Job) -> None:
        """The process stops, or the job was cancelled, or it was given to another model or replica."""
        if self._stopping.is_set():
            self._queue.release(job.id)
        elif not self._store.active(job.id) and not self._store.taken_over(job):
            self._files.clear(job.id)

    def _tried(self, job: Job, error: Exception) -> None:
        """A try failed: fail the job if it is its own fault, otherwise let it be tried again."""
        if self._stopping.is_set():
            self._queue.release(job.id)
            return
        fault = fault_of(error)
        if fault.own:
            self._fail(job, fault.reason)
            return
        log.error("job %s: %s", job.id, fault.reason, exc_info=error)
        self._counters.add("job_faults", kind=type(error).__name__)
        champion = self._rollout.state().champion
        if isinstance(error, NetworkFailed | ModelUnavailable) and champion not in (None, job.model):
            self._queue.give_to(job.id, str(champion))  # its own model was a candidate, or is an older one
        elif (
            self._health.check() is not None
        ):  # not the job's fault: it waits until the replica has recovered
            self._queue.postpone(job, fault.reason, 0.0, counted=False)
        elif job.faults + 1 < fault.most:
            self._queue.postpone(job, fault.reason, pause(job.faults + 1), counted=True)
        else:
            self._fail(job, f"{fault.reason}; gave up after {fault.most} tries", keep=True)

    def _process(self, job: Job, folder: Path, alive: Callable[[], None]) -> None:
        self._drop_segments_of_others(job, folder / WORK)
        suffix = job.options.suffix if job.options.annotate else None
        self._files.bring(job, suffix, alive)
        source = folder / INPUT
        if not source.exists():
            fetch(job.source, source, self._settings, alive)
        if job.facts is None:
            facts = probe(source, self._settings.limits)
            self._queue.set_facts(job.id, facts)
        else:
            facts = VideoFacts(**job.facts)
        with contextlib.ExitStack() as stack:
            try:
                model = stack.enter_context(self._models.using(job.model))
            except Exception as error:
                raise ModelUnavailable(one_line(error)) from error
            # the model may be another than when the job was submitted: without its classes it would find nothing
            model.task.check_for(model.export.classes, job.options)
            images = -(-facts.frames // job.options.every)
            shadow = stack.enter_context(
                shadowing(self._rollout.state(), self._models, self._evidence, model, job.id, images)
            )
            self._annotate(job, folder, source, facts, model, shadow, alive, suffix)

    def _drop_segments_of_others(self, job: Job, work: Path) -> None:
        """Remove the segments that another model made, and write down which model makes those to come."""
        stamp = work / STAMP
        made_by = stamp.read_text(encoding="utf-8") if stamp.exists() else None
        if made_by != job.model:
            if made_by is not None:  # a folder of an earlier version has no stamp, and its job's model
                shutil.rmtree(work)
            work.mkdir(parents=True, exist_ok=True)
            write_text(stamp, job.model)

    def _annotate(
        self,
        job: Job,
        folder: Path,
        source: Path,
        facts: VideoFacts,
        model: Model,
        shadow: Shadow | None,
        alive: Callable[[], None],
        suffix: str | None,
    ) -> None:
        manifest = annotate(
            source, facts, folder, model.export, model.batcher, job.options, self._settings.limits,
            _Reporter(
                self._queue, job, self._stopping, self._counters, folder, self._settings.limits.free_bytes, alive
            ),
            about={"job": job.id, "name": job.name, "backend": model.choice.backend}
            | ({"output_uri": job.output} if job.output else {}),
            threads=self._settings.thread_count, segment_frames=self._settings.segment_frames,
            shadow=shadow, on_segment=lambda number: self._files.keep_segment(job, number, suffix),
        )  # fmt: skip
        self._files.keep_result(job, alive)
        if job.output is not None:
            outputs.send(folder / RESULT, job.output, self._settings, alive)
        size = sum(file.stat().st_size for file in (source, *(folder / RESULT).iterdir()))
        if self._queue.done(job, manifest, size):
            self._count_end(job, "done")
            self._files.leave(job)
        else:
            self._given_up(job)

    def _fail(self, job: Job, reason: str, keep: bool = False) -> None:
        """keep: the finished segments, for a later `POST /v1/jobs/{id}:retry`."""
        folder = self._files.folder(job.id)
        left = [folder / INPUT, *((folder / WORK).glob("*") if keep else ())]
        if not self._queue.failed(job, reason, sum(file.stat().st_size for file in left if file.is_file())):
            self._given_up(job)
            return
        self._count_end(job, "failed")
        if not keep:
            self._files.leave(job)

    def _count_end(self, job: Job, state: str) -> None:
        self._counters.add("jobs_ended", state=state)
        if job.started is not None:
            self._counters.observe("job_seconds", time.time() - job.started, state=state)


class _Reporter:
    """Stores the progress of a job every REPORT_SECONDS.

    Raises Cancelled when the job was cancelled or given to another model, or the process stops, and OSError when the
    disk is nearly full.
    """

    def __init__(
        self,
        queue: JobQueue,
        job: Job,
        stopping: threading.Event,
        counters: Counters,
        folder: Path,
        free_bytes: int,
        alive: Callable[[], None],
    ) -> None:
        self._queue, self._job, self._stopping, self._counters = queue, job, stopping, counters
        self._folder, self._free_bytes, self._alive = folder, free_bytes, alive
        self._source_bytes = (folder / INPUT).stat().st_size
        self._due = 0.0
        self._counted = 0
        self._stages: dict[str, Histogram] = {}

    def __call__(self, progress: Progress) -> None:
        self._alive()
        if self._stopping.is_set() and not progress.finished:
            raise Cancelled
        if progress.finished or time.monotonic() >= self._due:
            self._store_progress(progress)

    def _store_progress(self, progress: Progress) -> None:
        self._due = time.monotonic() + REPORT_SECONDS
        if shutil.disk_usage(self._folder).free < self._free_bytes // 2:  # uploads were refused long before
            raise OSError(errno.ENOSPC, "the disk is nearly full")
        self._counters.add("frames", progress.here - self._counted)
        self._counted = progress.here
        for stage, seen in dict(progress.stages).items():
            before = self._stages.get(stage)
            self._stages[stage] = now = seen.since(None)
            self._counters.add_histogram("stage_seconds", now.since(before), stage=stage)
        if not self._queue.update_progress(self._job, progress, self._source_bytes + progress.written):
            raise Cancelled
