"""The whole deployment on Ray Serve, started by the command: parts are killed, and it recovers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import clips
import psutil
import pytest
import requests
from servers import TOKEN, Server, choose, free_port, wait_for

from serve.deployment.settings import Settings
from trainers.detection import export

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[3]


def start(data, *words):
    """Start `python -m serve.run` and wait until it is ready."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "serve.run",
        "--data",
        str(data),
        "--port",
        str(port),
        "--token",
        TOKEN,
        *words,
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    server = Server(f"http://127.0.0.1:{port}", Settings(data=data))

    def ready():
        assert process.poll() is None, process.stdout.read().decode()
        return answers(server) and server.call("GET", "/readyz").ok

    try:
        wait_for(ready, 600)
    except AssertionError:
        stop(process, signal.SIGKILL)
        raise
    return process, server


def parts(process, name):
    """The deployment's running processes with `name` in their command line."""
    found = []
    for each in psutil.Process(process.pid).children(recursive=True):
        try:
            if name in " ".join(each.cmdline()):
                found.append(each)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def listening(process):
    """The addresses at which the deployment's processes listen."""
    family = [process, *process.children(recursive=True)]
    found = [each for part in family if part.is_running() for each in part.net_connections("inet")]
    return {each.laddr.ip.removeprefix("::ffff:") for each in found if each.status == psutil.CONN_LISTEN}


def answers(server):
    try:
        return requests.get(server.url + "/healthz", timeout=5).ok
    except requests.RequestException:
        return False


def stop(process, how=signal.SIGTERM):
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(how)
    if how == signal.SIGKILL:  # all its processes
        for each in family:
            each.kill()
    assert process.wait(300) in (0, -how)
    psutil.wait_procs(family, 120)


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
