"""Batches in the store: their counts, their order, and what happens when requests meet."""

from __future__ import annotations

import pytest

from serve.deployment.database import Database
from serve.errors import Refused
from serve.jobs.batches import Batches
from serve.jobs.options import Options
from serve.jobs.queue import JobQueue
from serve.jobs.store import JobStore
from serve.jobs.submission import Submission
from serve.storage.job_files import JobFiles


@pytest.fixture
def store(tmp_path):
    return JobStore(Database(tmp_path, create=True), JobFiles(tmp_path / "jobs"))


def sent(number):
    return [(Submission(f"{i}.mp4", f"file:///{i}.mp4", Options()), "model") for i in range(number)]


def change(store, job_id, **values):
    with store.database.transaction() as db:
        for name, value in values.items():
            db.execute(f"UPDATE jobs SET {name} = ? WHERE id = ?", (value, job_id))


def test_the_progress_of_a_batch_is_the_mean_of_its_jobs(store):
    batches = Batches(store)
    batch, _ = batches.add(sent(4), None, None, 100)
    done, running, failed, _ = (job.id for job in batches.jobs(batch.id))
    change(store, done, state="done", frames=10, total=10, ended=5.0)
    change(store, running, state="running", frames=5, total=10)
    change(store, failed, state="failed", frames=1, total=10, ended=7.0)
    shown = batches.shown(batch)
    assert shown["progress"] == (1 + 0.5 + 1 + 0) / 4
    assert (shown["state"], shown["frames"], shown["ended"]) == ("running", 16, None)
    assert shown["jobs"] == {
        "queued": 1, "running": 1, "done": 1, "failed": 1, "cancelled": 0, "removed": 0
    }  # fmt: skip
    store.cancel(done)
    for job in batches.jobs(batch.id):
        change(store, job.id, state="done", ended=9.0)
    shown = batches.shown(batch)
    assert (shown["state"], shown["progress"], shown["ended"]) == ("done", 1.0, 9.0)
    assert shown["jobs"]["removed"] == 1


def test_single_jobs_go_before_those_of_batches_which_keep_their_order(store, tmp_path):
    batch, _ = Batches(store).add(sent(3), None, None, 100)
    (tmp_path / "incoming").mkdir()
    single, _ = store.add(tmp_path / "incoming", sent(1)[0][0], "model", 100)
    due = [job.id for job in JobQueue(store.database).due()]
    assert due == [single.id, *(f"{batch.id}-{number:05}" for number in range(3))]


def test_a_batch_that_does_not_fit_or_is_known_leaves_nothing_behind(store, tmp_path):
    batches = Batches(store)
    with pytest.raises(Refused, match="the queue is full"):
        batches.add(sent(3), None, None, 2)
    assert list((tmp_path / "jobs").iterdir()) == []
    first, new = batches.add(sent(2), None, None, 100, "key", "digest")
    again, new_again = batches.add(sent(2), None, None, 100, "key", "digest")
    assert (first, new, new_again) == (again, True, False)
    assert len(list((tmp_path / "jobs").iterdir())) == 2


def test_a_batch_without_jobs_is_cleaned_up(store):
    batches = Batches(store)
    batch, _ = batches.add(sent(1), None, None, 100)
    batches.clean_up()
    assert batches.get(batch.id) == batch
    (job,) = batches.jobs(batch.id)
    for _ in range(2):  # cancelled, then removed
        store.cancel(job.id)
    batches.clean_up()
    with pytest.raises(Refused, match="no such batch"):
        batches.get(batch.id)


@pytest.mark.parametrize("cancelled", ["batch", "job"])
def test_a_job_that_ends_while_it_is_cancelled_keeps_its_results(store, tmp_path, monkeypatch, cancelled):
    batches = Batches(store)
    batch, _ = batches.add(sent(2), None, None, 100)
    first, second = (job.id for job in batches.jobs(batch.id))
    (tmp_path / "jobs" / first / "result").mkdir()
    change(store, first, state="running")
    real = store.cancel_active

    def late(job_id):
        """The job has been found active, and a replica is faster."""
        change(store, first, state="done", ended=5.0)
        real(job_id)

    monkeypatch.setattr(store, "cancel_active", late)
    if cancelled == "batch":
        assert batches.cancel(batch.id) == batch
        assert store.get(second).state == "cancelled"
    else:
        assert store.cancel(first).state == "done"
    assert store.get(first).state == "done"
    assert (tmp_path / "jobs" / first / "result").is_dir()


def test_a_job_that_is_tried_again_while_it_is_removed_is_kept_with_its_batch(store, tmp_path, monkeypatch):
    batches = Batches(store)
    batch, _ = batches.add(sent(2), None, None, 100)
    first, second = (job.id for job in batches.jobs(batch.id))
    for job_id in (first, second):
        change(store, job_id, state="failed", ended=5.0)
    real = store.remove

    def late(job_id):
        """The job has been found failed, and another client is faster."""
        change(store, first, state="queued", ended=None)
        return real(job_id)

    monkeypatch.setattr(store, "remove", late)
    assert batches.cancel(batch.id) == batch
    assert [(job.id, job.state) for job in batches.jobs(batch.id)] == [(first, "queued")]
    assert (tmp_path / "jobs" / first).is_dir()
    assert not (tmp_path / "jobs" / second).exists()
