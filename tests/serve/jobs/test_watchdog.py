"""A job that makes no progress is tried again elsewhere, and a process in which something hangs is replaced."""

from __future__ import annotations

import os
import threading

import clips
import pytest
from servers import wait_for
from worker import FRAMES, Worker, add, assert_complete

from serve.jobs.faults import MAX_UNEXPECTED, fault_of
from serve.jobs.watchdog import Stalled, Watchdog


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def hanging(worker, tmp_path, clip):
    """A job whose decoder hangs, because its file is a pipe that nobody writes to; its thread; its clock; the end."""
    job_id = add(worker, tmp_path, clip)
    path = worker.store.files.folder(job_id) / "input"
    path.unlink()
    os.mkfifo(path)
    stream = clips.make(
        tmp_path / "clip.ts", FRAMES
    ).read_bytes()  # a pipe cannot be read backwards, as .mp4 is
    clock = Clock()
    worker.runner.watchdog = Watchdog(600, clock)
    thread = threading.Thread(target=worker.work)
    thread.start()
    wait_for(lambda: worker.store.get(job_id).state == "running")

    def release():
        """As the end of its process does, but the thread goes on."""
        if thread.is_alive():
            pipe = path.rename(path.with_name("pipe"))
            path.write_bytes(clip.read_bytes())
            pipe.write_bytes(stream)
            thread.join(60)
        assert not thread.is_alive()

    yield worker, job_id, clock, release
    release()


def test_a_job_that_makes_no_progress_is_tried_again_by_another_process(hanging):
    worker, job_id, clock, release = hanging
    clock.now = 599.0
    worker.runner.end_stalled()
    assert (worker.store.get(job_id).state, worker.health.problem) == ("running", None)
    clock.now = 601.0
    worker.runner.end_stalled()
    job = worker.store.get(job_id)
    assert (job.state, job.faults) == ("queued", 1)
    assert job.error == "server error: no progress for 601 s"
    assert job_id in worker.health.problem
    assert not worker.work(), "a process in which something hangs takes no jobs"
    other = Worker(worker.settings)
    assert not other.work(), "the thread that hangs still has the job"
    release()
    assert worker.store.get(job_id).state == "queued", "it gave up when it went on"
    worker.runner.end_stalled()
    assert worker.health.problem is None
    assert other.work()
    assert_complete(other, job_id)
    other.models.close()


def test_a_stall_is_counted_once_and_the_last_one_fails_the_job(hanging):
    worker, job_id, clock, _ = hanging
    with worker.store.database.transaction() as db:
        db.execute("UPDATE jobs SET faults = ? WHERE id = ?", (MAX_UNEXPECTED - 2, job_id))
    clock.now = 601.0
    for _ in range(3):
        worker.runner.end_stalled()
    assert worker.store.get(job_id).faults == MAX_UNEXPECTED - 1


def test_signs_of_life_keep_a_slow_job_going(worker, tmp_path, clip):
    clock = Clock()
    watchdog = Watchdog(600, clock)
    job = worker.store.get(add(worker, tmp_path, clip))
    with watchdog.watching(job) as alive:
        for clock.now in range(0, 10_000, 500):
            alive()
            assert (watchdog.stalled(), watchdog.problem) == ([], None)
        clock.now += 601
        assert [each.id for each, _ in watchdog.stalled()] == [job.id]
        assert watchdog.stalled() == []
    assert watchdog.problem is None


def test_a_stall_is_a_fault_of_the_server_that_probably_comes_again():
    assert fault_of(Stalled("x")).most == MAX_UNEXPECTED
