"""JobRunner: runs one job, from its last finished segment to its end, while holding its lock."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

from serve.backends.batching import NetworkFailed
from serve.deployment.counters import Counters
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.exports.loaded_models import LoadedModels, Model
from serve.jobs.job import Job
from serve.jobs.sources import fetch
from serve.jobs.store import INPUT, JobStore
from serve.video.annotating import RESULT, WORK, annotate
from serve.video.opening import VideoFacts, probe
from serve.video.pipeline import Cancelled, Progress
from serve.video.segments import SegmentFolder
from trainers.errors import UserError

MAX_ATTEMPTS = 8  # without a new segment in between; then the video is assumed to crash the process
REPORT_SECONDS = 0.5


class JobRunner:
    """Runs jobs in the calling thread. stopping: set when the process is to end."""

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        models: LoadedModels,
        rollout: Rollout,
        counters: Counters,
        stopping: threading.Event,
    ) -> None:
        self._settings, self._store, self._models = settings, store, models
        self._rollout, self._counters, self._stopping = rollout, counters, stopping

    def run_one(self) -> bool:
        """Run the oldest job that is not locked. False when there is none."""
        for job_id in self._store.active():
            with self._store.lock(job_id) as held:
                if held and self._run(job_id):
                    return True
        return False

    def _run(self, job_id: str) -> bool:
        folder = self._store.folder(job_id)
        segments = len(SegmentFolder(folder / WORK, None).finished())
        job = self._store.start(job_id, segments)
        if job is None:
            return False
        if job.attempts > MAX_ATTEMPTS:
            self._fail(
                job, f"the process working on it crashed {MAX_ATTEMPTS} times at the same place in the video"
            )
            return True
        try:
            self._process(job, folder)
        except Cancelled:
            if self._stopping.is_set():
                self._store.release(job_id)
            else:
                self._remove_files(folder)
        except NetworkFailed as error:
            self._network_failed(job, str(error))
        except UserError as error:
            self._fail(job, str(error))
        except OSError as error:
            self._fail(job, f"server error: {error.strerror or type(error).__name__}")
        except Exception as error:
            self._counters.add("errors_unexpected", kind=type(error).__name__)
            self._fail(job, f"unexpected server error ({type(error).__name__})")
            raise
        return True

    def _process(self, job: Job, folder: Path) -> None:
        source = folder / INPUT
        if not source.exists():
            fetch(job.source, source, self._settings)
        if job.facts is None:
            facts = probe(source, self._settings.limits)
            self._store.set_facts(job.id, facts)
        else:
            facts = VideoFacts(**job.facts)
        with self._models.using(job.model) as model:
            self._annotate(job, folder, source, facts, model)

    def _annotate(self, job: Job, folder: Path, source: Path, facts: VideoFacts, model: Model) -> None:
        manifest = annotate(
            source, facts, folder, model.export, model.batcher, job.options, self._settings.limits,
            _Reporter(self._store, job.id, self._stopping, self._counters),
            about={"job": job.id, "name": job.name, "backend": model.choice.backend},
            threads=self._settings.thread_count, segment_frames=self._settings.segment_frames,
        )  # fmt: skip
        size = sum(file.stat().st_size for file in (source, *(folder / RESULT).iterdir()))
        if self._store.done(job.id, manifest, size):
            self._counters.add("jobs_ended", state="done")
            shutil.rmtree(folder / WORK, ignore_errors=True)
        else:
            self._remove_files(folder)

    def _network_failed(self, job: Job, reason: str) -> None:
        """Fail the job; or, if its model was a candidate that has been rolled back, restart it with the champion."""
        champion = self._rollout.state().champion
        if champion is not None and champion != job.model:
            shutil.rmtree(self._store.folder(job.id) / WORK, ignore_errors=True)
            self._store.requeue(job.id, champion)
        else:
            self._fail(job, f"the model failed: {reason}")

    def _fail(self, job: Job, reason: str) -> None:
        if self._store.failed(job.id, reason):
            self._counters.add("jobs_ended", state="failed")
            shutil.rmtree(self._store.folder(job.id) / WORK, ignore_errors=True)
        else:
            self._remove_files(self._store.folder(job.id))

    def _remove_files(self, folder: Path) -> None:
        for name in (WORK, RESULT):
            shutil.rmtree(folder / name, ignore_errors=True)
        (folder / INPUT).unlink(missing_ok=True)


class _Reporter:
    """Stores the progress of a job every REPORT_SECONDS. Raises Cancelled when the job was cancelled."""

    def __init__(self, store: JobStore, job_id: str, stopping: threading.Event, counters: Counters) -> None:
        self._store, self._job_id, self._stopping, self._counters = store, job_id, stopping, counters
        self._due = 0.0
        self._counted = 0
        self._stages: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        if self._stopping.is_set() and not progress.finished:
            raise Cancelled
        if progress.finished or time.monotonic() >= self._due:
            self._store_progress(progress)

    def _store_progress(self, progress: Progress) -> None:
        self._due = time.monotonic() + REPORT_SECONDS
        self._counters.add("frames", progress.here - self._counted)
        self._counted = progress.here
        for stage, seconds in dict(progress.stages).items():
            self._counters.add("stage_seconds", seconds - self._stages.get(stage, 0.0), stage=stage)
            self._stages[stage] = seconds
        if not self._store.update_progress(self._job_id, progress):
            raise Cancelled
