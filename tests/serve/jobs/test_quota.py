"""The files of all jobs have one quota: old results make room, and unfinished jobs may take half of it."""

from __future__ import annotations

import time

import pytest
from worker import add

from serve.deployment.database import Database
from serve.errors import Refused
from serve.jobs.job import ACTIVE
from serve.jobs.options import Options
from serve.jobs.queue import JobQueue
from serve.jobs.store import JobStore, insert_job
from serve.jobs.submission import Submission
from serve.storage.job_files import JobFiles


@pytest.fixture
def store(tmp_path):
    return JobStore(Database(tmp_path, create=True), JobFiles(tmp_path / "jobs"))


def put(store, job_id, state, size):
    """A job of so many bytes; later ones ended later."""
    store.files.folder(job_id).mkdir()
    with store.database.transaction() as db:
        insert_job(db, job_id, Submission(job_id, "upload", Options(), size=size), "model", time.time())
        ended = None if state in ACTIVE else time.time()
        db.execute("UPDATE jobs SET state = ?, ended = ? WHERE id = ?", (state, ended, job_id))


def bytes_of(store, job_id):
    with store.database.reading() as db:
        return db.execute("SELECT bytes FROM jobs WHERE id = ?", (job_id,)).fetchone()[0]


def test_the_oldest_results_make_room_for_those_of_running_jobs(store):
    for number in range(3):
        put(store, f"old-{number}", "done", 10)
    assert store.expired(days=1, size=30) == []
    put(store, "running", "running", 15)
    assert store.expired(days=1, size=30) == ["old-1", "old-0"]


def test_unfinished_jobs_may_take_half(store):
    put(store, "done", "done", 1000)
    put(store, "running", "running", 30)
    store.check_room(20, most=100)
    with pytest.raises(Refused, match="unfinished jobs take 30 of the 50 bytes") as error:
        store.check_room(21, most=100)
    assert (error.value.status, error.value.retry_after) == (507, 600)


def test_what_a_running_job_has_written_counts(worker, tmp_path, clip, monkeypatch):
    seen = []
    real = JobQueue.update_progress

    def watched(self, job, progress, size):
        seen.append((progress.written, size))
        return real(self, job, progress, size)

    monkeypatch.setattr(JobQueue, "update_progress", watched)
    job_id = add(worker, tmp_path, clip)
    assert worker.work()
    written, size = seen[-1]
    assert written > 0
    assert size == written + clip.stat().st_size
    folder = worker.store.files.folder(job_id)
    files = [folder / "input", *(folder / "result").iterdir()]
    assert bytes_of(worker.store, job_id) == sum(file.stat().st_size for file in files)


def test_a_failed_or_cancelled_job_counts_with_what_is_left_of_it(worker, tmp_path, clip):
    job_id = add(worker, tmp_path, clip)
    (worker.store.files.folder(job_id) / "input").write_bytes(b"noise" * 100)
    assert worker.work()
    assert worker.store.get(job_id).state == "failed"
    assert bytes_of(worker.store, job_id) == 500
    other = add(worker, tmp_path, clip, "other")
    worker.store.cancel(other)
    assert bytes_of(worker.store, other) == 0
