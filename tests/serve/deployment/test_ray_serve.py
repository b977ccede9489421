"""The whole deployment on Ray Serve, started by the command: parts are killed, and it recovers."""

from __future__ import annotations

import json
import os
import signal

import clips
import psutil
import pytest
from commands import answers, listening, parts, start, stop
from servers import choose, wait_for

from serve.deployment.settings import Settings
from trainers.detection import export

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def test_after_kills_of_parts_and_of_the_whole_every_job_is_done_once(rectangles_folder, tmp_path):
    data = tmp_path / "data"
    clip = clips.make(tmp_path / "clip.mp4", 200)
    choose(export.read(rectangles_folder), Settings(data=data), "openvino")
    process, server = start(data, "--model", str(rectangles_folder))
    try:
        assert listening(psutil.Process(process.pid)) == {"127.0.0.1"}
        # these jobs outlive the server
        ids = [server.submit(clip, '{"audio": false}').json()["id"] for _ in range(3)]
        for part in ("ServeReplica:detector:Detector", "ServeReplica:detector:Api", "ProxyActor"):
            wait_for(lambda part=part: parts(process, part), 300)[0].kill()
            wait_for(lambda: answers(server), 300)
        stop(process, signal.SIGKILL)
        process, server = start(data)
        for job_id in ids:
            job = server.ended(job_id, 300)
            assert job["state"] == "done", job["error"]
            lines = server.call("GET", f"/v1/jobs/{job_id}/detections").text.splitlines()
            assert [json.loads(line)["frame"] for line in lines] == list(range(200))
        # images, refusals and large bodies through Serve's handle and proxy
        problem = server.call(
            "POST", "/v1/images:detect", data=b"noise", headers={"Content-Type": "image/png"}
        )
        assert problem.status_code == 422
        assert problem.headers["content-type"] == "application/problem+json"
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        large = head + os.urandom(40_000_000) + b"\r\n--b--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        refused = server.call("POST", "/v1/jobs", data=large, headers=kind)
        assert refused.status_code == 422
        assert not list((data / "incoming").iterdir())
    finally:
        if process.poll() is None:
            stop(process)
    assert not answers(server)


def test_a_replica_whose_decoder_hangs_is_replaced_and_its_job_fails_after_three_tries(
    rectangles_folder, tmp_path
):
    data = tmp_path / "data"
    clip = clips.make(tmp_path / "clip.mp4", 300)
    choose(export.read(rectangles_folder), Settings(data=data), "openvino")
    words = ["--model", str(rectangles_folder), "--jobs-at-once", "1", "--limit", "stall_seconds=5"]
    process, server = start(data, *words)
    try:
        (first,) = parts(process, "ServeReplica:detector:Detector")
        before, hangs, after = (server.submit(clip, '{"audio": false}').json()["id"] for _ in range(3))
        path = data / "jobs" / hangs / "input"
        path.unlink()
        os.mkfifo(path)  # opening it waits for a writer, for ever
        assert server.ended(before, 300)["state"] == "done"
        failed = server.ended(hangs, 600)
        assert failed["state"] == "failed"
        assert "no progress for" in failed["error"]
        assert "gave up after 3 tries" in failed["error"]
        assert server.ended(after, 300)["state"] == "done"
        wait_for(lambda: not first.is_running(), 60)
        wait_for(lambda: server.call("GET", "/readyz").ok, 300)
    finally:
        stop(process)
