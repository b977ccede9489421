"""A job fails for its own fault only: after one of the server's it is tried again, and no frame is lost or repeated."""

from __future__ import annotations

import errno
import sqlite3

import pytest
from worker import Once, add, assert_complete

from serve.backends.batching import NetworkFailed
from serve.errors import Refused
from serve.exports.loaded_models import LoadedModels
from serve.jobs import running
from serve.jobs.faults import MAX_TRIES, MAX_UNEXPECTED, ModelUnavailable, fault_of, pause
from serve.jobs.limits import Limits
from serve.jobs.options import Options
from serve.jobs.queue import JobQueue
from serve.jobs.running import SUSPECT_ATTEMPTS
from serve.jobs.slots import Slots
from serve.jobs.submission import Submission
from serve.video.opening import probe
from serve.video.segments import SegmentFolder
from trainers.errors import UserError

FAULTS = [MemoryError(), OSError(errno.ENOSPC, "No space left on device"), sqlite3.OperationalError("locked")]
STEPS = {
    "storing the facts": (JobQueue, "done", 1),
    "storing the progress": (JobQueue, "update_progress", 1),
    "finishing a segment": (SegmentFolder, "finish", 2),
    "assembling the results": (running, "annotate", 1),
    "loading the model": (LoadedModels, "using", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_a_fault_of_the_server_at_any_step_costs_no_job_and_no_frame(
    step, error, worker, tmp_path, clip, monkeypatch
):
    job_id = add(worker, tmp_path, clip)
    owner, name, number = STEPS[step]
    real = getattr(owner, name)
    once = Once(real, error, number)
    monkeypatch.setattr(owner, name, once if owner is running else lambda self, *a, **k: once(self, *a, **k))
    assert worker.work()
    waiting = worker.store.get(job_id)
    assert waiting.state == "queued"
    assert waiting.error
    assert worker.work()
    assert_complete(worker, job_id)
    assert worker.store.get(job_id).error is None


def test_a_dead_device_fails_no_job_and_its_replica_takes_none(worker, tmp_path, clip, monkeypatch):
    ids = [add(worker, tmp_path, clip, str(number)) for number in range(3)]
    (model,) = worker.models.all().values()
    backend = type(model.batcher._backend)
    real = backend.run

    def dead(self, *arguments):
        raise RuntimeError("device lost")

    monkeypatch.setattr(backend, "run", dead)
    assert worker.work()
    assert "device lost" in worker.health.problem
    assert worker.health.network_failed
    assert not worker.work(), "a replica with a problem takes no jobs"
    jobs = [worker.store.get(job_id) for job_id in ids]
    assert {(job.state, job.attempts, job.faults) for job in jobs} == {("queued", 0, 0)}
    monkeypatch.setattr(backend, "run", real)
    assert worker.health.check() is None
    for job_id in ids:
        assert worker.work()
        assert_complete(worker, job_id)


def test_a_job_that_is_given_to_a_model_without_its_classes_fails_and_says_so(worker, tmp_path, clip):
    folder = tmp_path / "incoming"
    folder.mkdir()
    (folder / "input").write_bytes(clip.read_bytes())
    sent = Submission("clip", "upload", Options(classes=["tram"]), probe(clip, Limits()))
    job, _ = worker.store.add(folder, sent, "a-candidate", 100)
    assert worker.queue.start(job.id, 0)
    worker.queue.give_to(job.id, worker.champion)  # as a rollback does
    assert worker.work()
    ended = worker.store.get(job.id)
    assert (ended.state, ended.objects) == ("failed", 0)
    assert "the model knows no 'tram'" in ended.error


def test_a_full_disk_is_a_problem_of_the_replica(worker, monkeypatch):
    from serve.deployment import health

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(health, "write_bytes", full)
    assert "No space left" in worker.health.check()
    assert not worker.health.network_failed


def test_a_fault_that_stays_ends_the_job_and_a_retry_goes_on_after_its_segments(
    worker, tmp_path, clip, monkeypatch
):
    job_id = add(worker, tmp_path, clip)
    real = running.annotate

    def broken(*args, **kwargs):
        real(*args, **kwargs)
        raise MemoryError

    monkeypatch.setattr(running, "annotate", broken)
    tries = 0
    while worker.work():
        tries += 1
    failed = worker.store.get(job_id)
    assert failed.state == "failed"
    # the first try made segments, after which faults are counted anew
    assert MAX_TRIES <= tries <= MAX_TRIES + 1
    assert f"out of memory; gave up after {MAX_TRIES} tries" in failed.error
    monkeypatch.setattr(running, "annotate", real)
    decoded = []
    monkeypatch.setattr(JobQueue, "set_facts", lambda *args: decoded.append(args))
    worker.queue.retry(failed, worker.champion)
    assert worker.work()
    assert_complete(worker, job_id)
    with pytest.raises(Refused, match="only a failed job"):
        worker.queue.retry(worker.store.get(job_id), worker.champion)


def test_a_job_fails_at_once_for_its_own_fault(worker, tmp_path, clip):
    job_id = add(worker, tmp_path, clip)
    (worker.store.files.folder(job_id) / "input").write_bytes(b"noise" * 1000)
    worker.work()
    failed = worker.store.get(job_id)
    assert (failed.state, failed.attempts) == ("failed", 1)
    assert "not a readable video" in failed.error


def test_a_source_that_does_not_answer_is_tried_again(worker, tmp_path, clip, monkeypatch):
    folder = tmp_path / "incoming-s3"
    folder.mkdir()
    job, _ = worker.store.add(folder, Submission("a", f"file://{clip}", Options()), worker.champion, 100)
    monkeypatch.setattr(
        running, "fetch", Once(lambda uri, target, settings, alive: target.write_bytes(clip.read_bytes()),
                               Refused(503, "no answer from S3"), 1)
    )  # fmt: skip
    worker.work()
    assert worker.store.get(job.id).state == "queued"
    worker.work()
    assert_complete(worker, job.id)


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (UserError("bad video"), 1), (Refused(413, "too long"), 1), (Refused(503, "S3"), MAX_TRIES),
        (NetworkFailed("lost"), MAX_TRIES), (ModelUnavailable("gone"), MAX_TRIES), (MemoryError(), MAX_TRIES),
        (OSError(errno.EIO, "I/O"), MAX_TRIES), (sqlite3.OperationalError("locked"), MAX_TRIES),
        (IndexError(), MAX_UNEXPECTED),
    ],
)  # fmt: skip
def test_an_error_is_the_jobs_own_or_the_servers(error, tries):
    assert fault_of(error).most == tries
    assert fault_of(error).own == (tries == 1)


def test_the_pauses_grow_and_last_longer_than_a_restart_of_most_things():
    pauses = [pause(faults) for faults in range(1, MAX_TRIES)]
    assert pauses == sorted(pauses)
    assert 1200 < sum(pauses) < 3600


def test_a_suspect_runs_alone():
    slots = Slots()
    with (
        slots.taken(alone=False) as first,
        slots.taken(alone=True) as suspect,
        slots.taken(alone=False) as later,
    ):
        assert (first, suspect, later) == (True, False, False), "the suspect waits, and others let it"
    with slots.taken(alone=True) as suspect, slots.taken(alone=False) as other:
        assert (suspect, other) == (True, False)
    with slots.taken(alone=False) as free:
        assert free


def test_a_job_is_suspected_before_it_is_given_up():
    assert 1 < SUSPECT_ATTEMPTS < running.MAX_ATTEMPTS
