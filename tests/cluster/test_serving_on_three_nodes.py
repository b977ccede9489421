"""Serving on three machines that share no disk: replicas, machines and the head are killed; no frame is lost or twice.

Jobs are in PostgreSQL, their files and the model in S3. FAULTS=20 makes as many faults; VIDEOS=30 sends as many videos.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import faults
import pytest
import requests
import sqlalchemy
from nodes import ROOT, Node
from watching import Driver

sys.path.append(str(ROOT / "tests" / "serve"))
import clips
import rectangles

pytestmark = pytest.mark.long
FAULTS = int(os.environ.get("FAULTS", "6"))
VIDEOS = int(os.environ.get("VIDEOS", "30"))
SEED = int(os.environ.get("SEED", "1"))
FRAMES = 3000
REPLICA = "ray::ServeReplica:detector:Detector"
TOKEN = "a-token-for-the-cluster"


class Served:
    """The deployment: its command on the head, and a client that asks again while nothing answers."""

    def __init__(self, cluster: Any, folder: Path) -> None:
        self._cluster = cluster
        self._driver = Driver(folder / "serve.log")
        address, _, _ = cluster.database.address.rpartition("/")
        self._flags = [
            "--database",
            f"{address}/serving",
            "--files",
            "s3://studies/serving",
            "--data",
            "/root/serving",
        ]

    def prepare(self, model: Path) -> None:
        """Upload the model, and make the token."""
        head = self._cluster.head
        words = ["--model", str(model), "--token", TOKEN, "--cpus", "1", "--prepare"]
        done = head.run(sys.executable, "-m", "serve.run", *self._flags, *words, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it on the cluster, with a replica for each machine."""
        head = self._cluster.head
        words = ["--address", f"{head.address}:6379", "--host", "0.0.0.0", "--replicas", "3", "--cpus", "1"]
        seen = len(self._driver.lines)
        self._driver.start(head, [sys.executable, "-m", "serve.run", *self._flags, *words])
        self._driver.wait_for("serving on", after=seen)

    def call(self, method: str, path: str, seconds: float = 300.0, **request: Any) -> requests.Response:
        """An answer that is no fault of the server's."""
        until, url = time.monotonic() + seconds, f"http://{self._cluster.head.address}:8000{path}"
        while True:
            try:
                answer = requests.request(
                    method, url, headers={"Authorization": f"Bearer {TOKEN}", **request.pop("headers", {})},
                    timeout=60, **request,
                )  # fmt: skip
                if answer.status_code < 500:
                    return answer
                problem = answer.text
            except requests.RequestException as error:
                problem = repr(error)
            assert time.monotonic() < until, f"{problem}\n{self._driver.said[-3000:]}"
            time.sleep(0.5)

    def submit(self, content: bytes, number: int) -> str:
        """Send a video; returns the job's id, the same when it is sent again."""
        answer = self.call(
            "POST", "/v1/jobs", files={"file": ("clip.mp4", content)}, data={"options": '{"audio": false}'},
            headers={"Idempotency-Key": str(number)},
        )  # fmt: skip
        assert answer.status_code in (200, 202), answer.text
        return str(answer.json()["id"])

    def ended(self, job_id: str, seconds: float = 900.0) -> dict[str, Any]:
        """The job, once it has ended."""
        until = time.monotonic() + seconds
        while True:
            job: dict[str, Any] = self.call("GET", f"/v1/jobs/{job_id}").json()
            if job["state"] in ("done", "failed", "cancelled"):
                return job
            assert time.monotonic() < until, job
            time.sleep(0.5)


def replica(cluster: Any, node: Node) -> str:
    """A replica's process is killed."""
    for machine in (node, *cluster.workers, cluster.head):
        if found := faults.processes(machine, REPLICA):
            faults.kill(found[:1])
            return machine.address
    return "none was there"


def machine(cluster: Any, node: Node) -> str:
    """A machine's power is cut; it comes back after a while, without its copies of what was on its disk."""
    node.kill()
    node.run("rm", "-rf", "/root/serving")
    time.sleep(faults.AWAY_SECONDS["machine"])
    node.start_ray(cluster.head.address, 2)
    return node.address


def test_no_job_is_lost_and_each_frame_is_there_once(cluster, tmp_path, tmp_path_factory):
    rng = random.Random(SEED)
    made = sqlalchemy.create_engine(
        cluster.database.address.replace("postgresql://", "postgresql+pg8000://"),
        connect_args={"password": os.environ.get("PGPASSWORD", "only for tests")},
    )
    with made.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE serving"))
    shared = cluster.head.disk.parent / "export"  # which the head's command reads, and no replica
    rectangles.build(shared)
    content = clips.make(tmp_path / "clip.mp4", FRAMES).read_bytes()
    served = Served(cluster, tmp_path)
    served.prepare(shared)
    served.start()
    jobs = [served.submit(content, number) for number in range(VIDEOS)]
    began = time.monotonic()
    for count in range(FAULTS):
        time.sleep(rng.uniform(2, 12))
        if count == FAULTS // 2:
            faults.head(cluster, cluster.head, None)
            served.start()
            what = "the head and all of Ray, which were started again"
        else:
            fault = rng.choice((replica, machine))
            what = f"{fault.__name__} {fault(cluster, rng.choice(cluster.workers))}"
        states = [job["state"] for job in served.call("GET", "/v1/jobs").json()["jobs"]]
        print(f"fault {count + 1}: {what}; {states.count('done')} of {VIDEOS} done", flush=True)
    assert served.submit(content, 0) == jobs[0]
    for job_id in jobs:
        job = served.ended(job_id)
        assert job["state"] == "done", job
        lines = served.call("GET", f"/v1/jobs/{job_id}/detections").text.splitlines()
        assert [json.loads(line)["frame"] for line in lines] == list(range(FRAMES))
        (tmp_path / "video.webm").write_bytes(served.call("GET", f"/v1/jobs/{job_id}/video").content)
        assert len(clips.facts_of(tmp_path / "video.webm")["times"]) == FRAMES
    assert len(served.call("GET", "/v1/jobs").json()["jobs"]) == VIDEOS
    print(
        f"{VIDEOS} videos of {FRAMES} frames, {FAULTS} faults and the head: {time.monotonic() - began:.0f} s"
    )
