"""A queue that is full and a disk that is nearly full: the client is told, and what waits is not touched."""

from __future__ import annotations

import clips
import pytest
from problems import is_problem, nothing_left
from servers import prepare, served

from serve.deployment.settings import Settings
from serve.jobs.limits import Limits

pytestmark = pytest.mark.slow


def test_a_queue_that_is_full_says_when_to_come_again(tmp_path, rectangles_folder):
    settings = Settings(data=tmp_path / "data", limits=Limits(free_bytes=0, queued=2), threads=1)
    prepare(settings, rectangles_folder)
    clip = clips.make(tmp_path / "clip.mp4", 3)
    with served(settings, replica=False) as server:  # nobody takes the jobs up
        waiting = [server.submit(clip).json()["id"] for _ in range(2)]
        with nothing_left(server):
            refused = server.submit(clip)
        is_problem(refused, 429, "2 jobs are waiting")
        assert int(refused.headers["Retry-After"]) > 0
        assert {job["id"] for job in server.call("GET", "/v1/jobs").json()["jobs"]} == set(waiting)
        assert server.call("DELETE", f"/v1/jobs/{waiting[0]}").ok
        assert server.submit(clip).status_code == 202


def test_a_disk_that_is_nearly_full_takes_no_video(tmp_path, rectangles_folder):
    settings = Settings(data=tmp_path / "data", limits=Limits(free_bytes=1 << 60), threads=1)
    prepare(settings, rectangles_folder)
    with served(settings, replica=False) as server, nothing_left(server):
        is_problem(server.submit(clips.make(tmp_path / "clip.mp4", 3)), 507)
