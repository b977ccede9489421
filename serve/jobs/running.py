"""Runs one job from wherever it stands to its end, under its lock."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

from serve.backends.batching import NetworkFailed
from serve.deployment.counters import Counters
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.exports.models import Model, Models
from serve.jobs.job import Job
from serve.jobs.sources import fetch
from serve.jobs.store import INPUT, RESULT, WORK, JobStore
from serve.video.assembling import assemble
from serve.video.opening import VideoFacts, probe
from serve.video.processing import Cancelled, Process, Progress
from serve.video.segments import SegmentFolder
from trainers.errors import UserError

ATTEMPTS = 8  # without a finished segment between them: a video that kills its process is given up
REPORT_SECONDS = 0.5


class JobRunner:
    """What a thread that runs jobs needs. stopping: set when the process is to end."""

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        models: Models,
        rollout: Rollout,
        counters: Counters,
        stopping: threading.Event,
    ) -> None:
        self._settings, self._store, self._models = settings, store, models
        self._rollout, self._counters, self._stopping = rollout, counters, stopping

    def run_one(self) -> bool:
        """Run the oldest job that nobody holds; False when there is none."""
        for job_id in self._store.active():
            with self._store.locked(job_id) as held:
                if held and self._run(job_id):
                    return True
        return False

    def _run(self, job_id: str) -> bool:
        folder = self._store.folder(job_id)
        segments = len(SegmentFolder(folder / WORK, None).finished())
        job = self._store.begin(job_id, segments)
        if job is None:
            return False
        if job.attempts > ATTEMPTS:
            self._end(job, f"the process that worked on it died {ATTEMPTS} times at the same place")
            return True
        try:
            self._work(job, folder)
        except Cancelled:
            if self._stopping.is_set():
                self._store.let_go(job_id)
            else:
                self._clear(folder)
        except NetworkFailed as error:
            self._network_failed(job, str(error))
        except UserError as error:
            self._end(job, str(error))
        except OSError as error:
            self._end(job, f"the server could not go on with it: {error.strerror or type(error).__name__}")
        except Exception as error:
            self._counters.add("errors_unexpected", kind=type(error).__name__)
            self._end(job, f"the server met an unexpected error ({type(error).__name__})")
            raise
        return True

    def _work(self, job: Job, folder: Path) -> None:
        source = folder / INPUT
        if not source.exists():
            fetch(job.source, source, self._settings)
        if job.facts is None:
            facts = probe(source, self._settings.limits)
            self._store.set_facts(job.id, facts)
        else:
            facts = VideoFacts(**job.facts)
        with self._models.using(job.model) as model:
            self._process(job, folder, source, facts, model)

    def _process(self, job: Job, folder: Path, source: Path, facts: VideoFacts, model: Model) -> None:
        reporter = _Reporter(self._store, job.id, self._stopping, self._counters)
        process = Process(
            source, facts, folder / WORK, model.export, model.batcher, job.options, self._settings.limits, reporter,
            threads=self._settings.thread_count, segment_frames=self._settings.segment_frames,
        )  # fmt: skip
        segments = process.run()
        reporter.flush(process.progress)
        damaged = process.progress.damaged
        about = {"job": job.id, "name": job.name, "damaged": damaged, "backend": model.choice.backend}
        manifest = assemble(
            folder / RESULT, facts, segments, process.segments, model.export, job.options, about
        )
        size = sum(file.stat().st_size for file in (source, *(folder / RESULT).iterdir()))
        if self._store.done(job.id, manifest, size):
            self._counters.add("jobs_ended", state="done")
            shutil.rmtree(folder / WORK, ignore_errors=True)
        else:
            self._clear(folder)

    def _network_failed(self, job: Job, reason: str) -> None:
        """A job keeps its model, but for one that was rolled back because it fails: the champion does it anew."""
        champion = self._rollout.state().champion
        if champion is not None and champion != job.model:
            shutil.rmtree(self._store.folder(job.id) / WORK, ignore_errors=True)
            self._store.again_with(job.id, champion)
        else:
            self._end(job, f"the model failed: {reason}")

    def _end(self, job: Job, reason: str) -> None:
        if self._store.failed(job.id, reason):
            self._counters.add("jobs_ended", state="failed")
            shutil.rmtree(self._store.folder(job.id) / WORK, ignore_errors=True)
        else:
            self._clear(self._store.folder(job.id))

    def _clear(self, folder: Path) -> None:
        for name in (WORK, RESULT):
            shutil.rmtree(folder / name, ignore_errors=True)
        (folder / INPUT).unlink(missing_ok=True)


class _Reporter:
    """Tells the record now and then where a job stands, and hears from it whether the job is still wanted."""

    def __init__(self, store: JobStore, job_id: str, stopping: threading.Event, counters: Counters) -> None:
        self._store, self._job_id, self._stopping, self._counters = store, job_id, stopping, counters
        self._due = 0.0
        self._counted = 0
        self._stages: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        if self._stopping.is_set():
            raise Cancelled
        if time.monotonic() >= self._due:
            self.flush(progress)

    def flush(self, progress: Progress) -> None:
        """Tell it now. Raises Cancelled."""
        self._due = time.monotonic() + REPORT_SECONDS
        self._counters.add("frames", progress.here - self._counted)
        self._counted = progress.here
        for stage, seconds in dict(progress.stages).items():
            self._counters.add("stage_seconds", seconds - self._stages.get(stage, 0.0), stage=stage)
            self._stages[stage] = seconds
        if not self._store.progressed(self._job_id, progress):
            raise Cancelled
