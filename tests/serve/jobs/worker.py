"""A replica's parts in the thread of a test, and jobs for it."""

from __future__ import annotations

import json
import threading

from serve.deployment.database import Database
from serve.deployment.evidence import Evidence
from serve.deployment.health import Health
from serve.deployment.rollout import Rollout
from serve.exports.loaded_models import LoadedModels
from serve.jobs.limits import Limits
from serve.jobs.options import Options
from serve.jobs.queue import JobQueue
from serve.jobs.running import JobRunner
from serve.jobs.store import JobStore
from serve.jobs.submission import Submission
from serve.metrics.counters import Counters
from serve.storage.job_files import JobFiles
from serve.video.opening import probe

FRAMES = 20


class Worker:
    """A replica's parts, in this thread. `work` runs one try of a job."""

    def __init__(self, settings):
        self.settings = settings
        database = Database(settings.data)
        counters = Counters(database)
        self.rollout = Rollout(database, counters)
        self.store, self.queue = JobStore(database, JobFiles(settings.jobs_folder)), JobQueue(database)
        self.models = LoadedModels(settings)
        self.health = Health(settings, self.models, self.rollout)
        assert self.health.check() is None
        self.runner = JobRunner(
            settings,
            self.store,
            self.queue,
            self.models,
            self.rollout,
            counters,
            self.health,
            Evidence(database),
            threading.Event(),
        )

    def work(self):
        return self.runner.run_one()

    @property
    def champion(self):
        return self.rollout.state().champion


def add(worker, tmp_path, clip, name="clip"):
    folder = tmp_path / f"incoming-{name}"
    folder.mkdir()
    (folder / "input").write_bytes(clip.read_bytes())
    facts = probe(clip, Limits())
    options = Options(codec="h264")
    job, _ = worker.store.add(folder, Submission(name, "upload", options, facts), worker.champion, 100)
    return job.id


def assert_complete(worker, job_id):
    job = worker.store.get(job_id)
    assert job.state == "done", job.error
    lines = (worker.store.files.folder(job_id) / "result" / "detections.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(FRAMES))


class Once:
    """Raises `error` at the n-th call, and calls `real` otherwise. raised: whether it did."""

    def __init__(self, real, error, number):
        self._real, self._error, self._left = real, error, number
        self.raised = False

    def __call__(self, *args, **kwargs):
        self._left -= 1
        if self._left == 0:
            self.raised = True
            raise self._error
        return self._real(*args, **kwargs)
