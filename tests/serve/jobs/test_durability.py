"""Durability: processes are killed at any moment, and no job is lost or repeated."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import clips
import pytest
import requests
from servers import Server, free_port, prepare, run_http, run_replica, served, spawn, wait_for

from serve.backends import cache
from serve.deployment.database import Database
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.errors import Refused
from serve.exports.loaded_models import LoadedModels
from serve.exports.model_folder import add_model
from serve.jobs.limits import Limits
from serve.jobs.options import Options
from serve.jobs.queue import JobQueue
from serve.jobs.store import JobStore
from serve.jobs.submission import Submission
from serve.metrics.counters import Counters
from serve.storage.job_files import JobFiles
from serve.storage.opening import open_database, open_secret
from serve.storage.tokens import NAME, Tokens
from serve.video.opening import probe

KILLS = int(os.environ.get("KILLS", "10"))  # KILLS=30 for a longer test


@pytest.fixture
def settings(request, tmp_path, rectangles_folder):
    """Of a deployment whose database is SQLite, or what the test asks for."""
    settings = Settings(
        data=tmp_path / "data", limits=Limits(free_bytes=0), threads=1, segment_frames=12, jobs_at_once=2,
        database=request.getfixturevalue("postgresql") if getattr(request, "param", "") == "postgresql" else "",
    )  # fmt: skip
    prepare(settings, rectangles_folder)
    return settings


@pytest.fixture
def store(settings):
    return JobStore(open_database(settings), JobFiles(settings.jobs_folder))


@pytest.fixture
def queue(store):
    return JobQueue(store.database)


def added(store, tmp_path, clip, number=0, key=None, digest="", limit=100, options=Options()):  # noqa: B008
    folder = tmp_path / f"incoming-{number}"
    folder.mkdir()
    (folder / "input").write_bytes(clip.read_bytes())
    facts = probe(folder / "input", Limits())
    return store.add(folder, Submission("clip", "upload", options, facts), "model", limit, key, digest)


def test_a_job_is_locked_by_one_worker_and_released_when_it_dies(store, tmp_path):
    job, new = added(store, tmp_path, clips.make(tmp_path / "clip.mp4", 3))
    assert new
    with store.lock(job.id) as first:
        assert first
        with store.lock(job.id) as second:
            assert not second
    with store.lock(job.id) as third:
        assert third
    with store.lock("gone") as none:
        assert not none


def test_the_video_is_on_the_disk_before_the_job_exists(store, queue, tmp_path, monkeypatch):
    synced, real = [], os.fsync

    def fsync(descriptor):
        assert not queue.due(), "the row was written before the file was"
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    job, _ = added(store, tmp_path, clips.make(tmp_path / "clip.mp4", 3))
    incoming = tmp_path / "incoming-0"
    assert synced == [str(incoming / "input"), str(incoming), str(store.files.folder(job.id).parent)]


def test_a_full_queue_refuses_jobs_with_a_retry_time(store, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 3)
    added(store, tmp_path, clip, 0, limit=1)
    with pytest.raises(Refused) as error:
        added(store, tmp_path, clip, 1, limit=1)
    assert error.value.status == 429
    assert error.value.retry_after


@pytest.mark.slow
def test_a_job_that_keeps_crashing_its_process_fails(settings, store, queue, tmp_path):
    job, _ = added(store, tmp_path, clips.make(tmp_path / "clip.mp4", 3))
    for _ in range(8):
        assert queue.start(job.id, segments=0) is not None  # and is killed
    with served(settings) as server:
        ended = server.ended(job.id)
    assert ended["state"] == "failed"
    assert "crashed 8 times at the same place" in ended["error"]


def test_attempts_are_counted_anew_after_a_new_segment(store, queue, tmp_path):
    job, _ = added(store, tmp_path, clips.make(tmp_path / "clip.mp4", 3))
    assert [queue.start(job.id, segments).attempts for segments in (0, 0, 1, 1, 2)] == [1, 2, 1, 2, 1]


def test_ended_jobs_expire_by_age_and_by_total_size(store, queue, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 3)
    jobs = [added(store, tmp_path, clip, i)[0] for i in range(3)]
    for job in jobs:
        assert queue.done(queue.start(job.id, 0), {"frames": 3, "objects": 0, "damaged": 0}, size=100)
    assert store.expired(days=1, size=1000) == []
    assert store.expired(days=1, size=250) == [jobs[0].id]
    assert len(store.expired(days=0, size=1000)) == 3


@pytest.mark.slow
def test_the_next_replica_resumes_the_job_of_a_stopped_one(settings, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 800)
    with served(settings) as server:
        job = server.submit(clip).json()
        wait_for(lambda: server.job(job["id"])["frames"] > 100)
    with served(settings) as server:
        ended = server.ended(job["id"])
        lines = server.call("GET", f"/v1/jobs/{job['id']}/detections").text.splitlines()
    assert ended["state"] == "done"
    assert [json.loads(line)["frame"] for line in lines] == list(range(800))


@pytest.mark.slow
def test_a_job_keeps_the_model_it_started_with(settings, store, tmp_path, rectangles, rectangles_folder):
    from rectangles import build

    other = add_model(settings, build(tmp_path / "shifted", shift=0.05))
    clip = clips.make(tmp_path / "clip.mp4", 20)
    with served(settings, replica=False) as server:
        job = server.submit(clip, '{"annotate": false}').json()
        database = Database(settings.data)
        Rollout(database, Counters(database)).begin(other.export_id)
        later = server.submit(clip, '{"annotate": false}').json()
    with served(settings) as server:
        first, second = server.ended(job["id"]), server.ended(later["id"])
        boxes = [
            json.loads(server.call("GET", f"/v1/jobs/{each}/detections").text.splitlines()[0])["objects"][0][
                "box"
            ]
            for each in (job["id"], later["id"])
        ]
    assert (first["model"], second["model"]) == (rectangles.export_id, other.export_id)
    assert boxes[1][0] == pytest.approx(boxes[0][0] + 0.05, abs=0.01)


@pytest.mark.slow
def test_several_replicas_share_the_work(settings, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 30)
    with served(settings) as server, served(settings):
        ids = [server.submit(clip).json()["id"] for _ in range(8)]
        for job_id in ids:
            assert server.ended(job_id)["state"] == "done"
            lines = server.call("GET", f"/v1/jobs/{job_id}/detections").text.splitlines()
            assert [json.loads(line)["frame"] for line in lines] == list(range(30))


@pytest.mark.slow
def test_a_model_is_measured_once_and_loaded_once(settings, rectangles):
    models = LoadedModels(settings)
    with models.using(rectangles.export_id) as first, models.using(rectangles.export_id) as again:
        assert again is first
    assert list(cache.folder(rectangles).glob("backend-*.json"))
    models.close()


def test_tokens_outlive_the_server(settings):
    assert Tokens(open_secret(settings, NAME)).scopes("token-for-tests") == ["read", "submit", "admin"]
    assert Tokens(open_secret(settings, NAME)).scopes("other") is None


@pytest.mark.long
@pytest.mark.parametrize("settings", ["sqlite", "postgresql"], indirect=True)
def test_random_kills_lose_no_job_and_repeat_no_frame(settings, tmp_path):
    rng = random.Random(11)
    port = free_port()
    server = Server(f"http://127.0.0.1:{port}", settings)
    plain = settings.model_dump(mode="json")
    clip = clips.make(tmp_path / "clip.mp4", 150)
    running = {}

    def start(name):
        running[name] = spawn(run_http, plain, port) if name == "http" else spawn(run_replica, plain)

    def kill(name):
        os.kill(running[name].pid, signal.SIGKILL)
        running[name].join()

    def answers():
        try:
            return requests.get(server.url + "/healthz", timeout=5).ok
        except requests.RequestException:
            return False

    for name in ("http", "replica-1", "replica-2"):
        start(name)
    wait_for(answers)
    submitted = []
    for number in range(12):
        answer = server.submit(
            clip,
            json.dumps({"track": number % 2 == 0, "audio": False}),
            headers={"Idempotency-Key": str(number)},
        )
        assert answer.status_code == 202
        submitted.append(answer.json()["id"])
    kills = 0
    try:
        while kills < KILLS:
            wait_for(lambda: rng.random() < 0.02)  # a random moment
            victims = rng.choice([["http"], ["replica-1"], ["replica-2"], list(running)])
            for name in victims:
                kill(name)
                kills += 1
            for name in victims:
                start(name)
            wait_for(answers)
            # a client that got no answer sends again, and gets the same job
            again = server.submit(
                clip, json.dumps({"track": True, "audio": False}), headers={"Idempotency-Key": "0"}
            )
            assert again.json()["id"] == submitted[0]
        assert {job["id"] for job in server.call("GET", "/v1/jobs").json()["jobs"]} == set(submitted)
        for job_id in submitted:
            job = server.ended(job_id, 240)
            assert job["state"] == "done", job["error"]
            lines = server.call("GET", f"/v1/jobs/{job_id}/detections").text.splitlines()
            assert [json.loads(line)["frame"] for line in lines] == list(range(150))
            (tmp_path / "video.webm").write_bytes(server.call("GET", f"/v1/jobs/{job_id}/video").content)
            assert len(clips.facts_of(tmp_path / "video.webm")["times"]) == 150
    finally:
        for name in running:
            kill(name)
