"""A full queue and a nearly full disk: new jobs are refused, queued ones are not affected."""

from __future__ import annotations

import clips
import pytest
from problems import is_problem, nothing_left
from servers import prepare, served

from serve.deployment.settings import Settings
from serve.jobs.limits import Limits

pytestmark = pytest.mark.slow


def test_a_full_queue_gives_a_retry_time(tmp_path, rectangles_folder):
    settings = Settings(data=tmp_path / "data", limits=Limits(free_bytes=0, queued=2), threads=1)
    prepare(settings, rectangles_folder)
    clip = clips.make(tmp_path / "clip.mp4", 3)
    with served(settings, replica=False) as server:  # no replica, so that jobs stay queued
        waiting = [server.submit(clip).json()["id"] for _ in range(2)]
        with nothing_left(server):
            refused = server.submit(clip)
        is_problem(refused, 429, "the queue is full (2 jobs)")
        assert int(refused.headers["Retry-After"]) > 0
        assert {job["id"] for job in server.call("GET", "/v1/jobs").json()["jobs"]} == set(waiting)
        assert server.call("DELETE", f"/v1/jobs/{waiting[0]}").ok
        assert server.submit(clip).status_code == 202


def test_a_nearly_full_disk_refuses_videos(tmp_path, rectangles_folder):
    settings = Settings(data=tmp_path / "data", limits=Limits(free_bytes=1 << 60), threads=1)
    prepare(settings, rectangles_folder)
    with served(settings, replica=False) as server, nothing_left(server):
        is_problem(server.submit(clips.make(tmp_path / "clip.mp4", 3)), 507)


def test_videos_beyond_the_quota_of_unfinished_jobs_are_refused(tmp_path, rectangles_folder):
    clip = clips.make(tmp_path / "clip.mp4", 3)
    most = 3 * clip.stat().st_size
    limits = Limits(free_bytes=0, result_bytes=most)
    settings = Settings(data=tmp_path / "data", limits=limits, threads=1, file_roots=(tmp_path,))
    prepare(settings, rectangles_folder)
    with served(settings, replica=False) as server:
        waiting = server.submit(clip)
        assert waiting.status_code == 202
        with nothing_left(server):
            is_problem(server.submit(clip), 507, "unfinished jobs take")
            is_problem(server.call("POST", "/v1/jobs", json={"uri": f"file://{clip}"}), 507)
        server.call("DELETE", f"/v1/jobs/{waiting.json()['id']}")
        assert server.submit(clip).status_code == 202
