"""Searches that are submitted to a real Ray: listed, followed, stopped and gone on with; their gauges are exported."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import requests

from tuning.callbacks.metrics import GAUGES

ROOT = Path(__file__).parents[3]
TRAINER = Path(__file__).parents[1]
OF_NODES = ("mem_used", "mem_total", "disk_free", "disk_usage", "cpu_utilization", "network_send_speed")
pytestmark = pytest.mark.long


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Cluster:
    """A Ray of its own on the loopback interface, with a token. `run` calls a command as a user beside it would."""

    def __init__(self, folder: Path) -> None:
        gcs, jobs, self.metrics = free_ports(3)
        token = folder / "token"
        token.write_text("0123456789abcdef0123456789abcdef")
        given = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.environment = given | {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{jobs}", "CURVE_TROUBLE": '{"pace": 0.02}',
            "PYTHONPATH": str(TRAINER), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip
        line = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--node-ip-address=127.0.0.1",
            f"--port={gcs}", "--dashboard-host=127.0.0.1", f"--dashboard-port={jobs}", "--num-cpus=2",
            f"--metrics-export-port={self.metrics}", f"--temp-dir={folder}", "--object-store-memory=80000000",
            "--disable-usage-stats",
        ]  # fmt: skip
        self.log = (folder / "ray.log").open("wb")
        self.process = subprocess.Popen(line, env=self.environment, stdout=self.log, stderr=self.log)

    def wait(self) -> None:
        until = time.monotonic() + 240
        while self.called("tuning.status").returncode:
            assert self.process.poll() is None, Path(self.log.name).read_text()
            assert time.monotonic() < until, self.called("tuning.status").stderr
            time.sleep(1)

    def called(self, module: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, module: str, *words: str) -> str:
        done = self.called(module, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def exported(self) -> set[str]:
        """The names of the metrics that Prometheus would scrape."""
        text = requests.get(f"http://127.0.0.1:{self.metrics}/metrics", timeout=30).text
        return set(re.findall(r"^(ray_[a-z_]+)\{", text, re.MULTILINE))

    def stop(self) -> None:
        """Ray's processes end with the one that started them."""
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short: Ray's sockets are in it
    running = Cluster(folder)
    try:
        running.wait()
        yield running
    finally:
        running.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_search_is_submitted_followed_and_stopped_and_goes_on_with_its_gauges_exported(
    cluster, city, tmp_path
):
    (tmp_path / "data").symlink_to(city)
    search = [
        "--space", "mobilenet", "--trainer", "curve_trainer:CurveTrainer", "--max-steps", "900", "--workers", "2",
        "--studies-dir", str(tmp_path), "--study", "street", "--submit",
    ]  # fmt: skip
    said = cluster.run("tuning.run", *search, "--trials", "4000")  # it never ends by itself
    name = re.search(r"submitted (street-\S+) to http", said)[1]
    wanted = {f"ray_{gauge}" for gauge in GAUGES} | {f"ray_node_{gauge}" for gauge in OF_NODES}
    until = time.monotonic() + 300
    while lacking := wanted - cluster.exported():
        said = cluster.run("tuning.status", name)
        assert "running" in said or "pending" in said, said
        assert time.monotonic() < until, f"{lacking} {said}"
        time.sleep(2)

    assert "stopped; finished work is kept" in cluster.run("tuning.stop", name)
    summary = json.loads((tmp_path / "street" / "summary.json").read_text())
    assert "interrupted" in {trial["state"] for trial in summary["trials"]}
    ended = sum(trial["state"] != "interrupted" for trial in summary["trials"])

    said = cluster.run("tuning.run", *search, "--trials", str(ended + 2))
    name = re.search(r"submitted (street-\S+) to http", said)[1]
    followed = cluster.called("tuning.attach", name)
    assert followed.returncode == 0, followed.stdout
    assert "study street in" in followed.stdout
    assert re.search(r"trial \d+ (completed|pruned)", followed.stdout)
    listed = cluster.run("tuning.status")
    assert "succeeded" in listed.splitlines()[0]
    assert "stopped" in listed.splitlines()[1]
    refused = cluster.called("tuning.stop", name)
    assert refused.returncode == 2
    assert "has ended already (succeeded)" in refused.stderr


def test_without_the_token_a_user_is_refused_in_one_line(cluster, monkeypatch):
    monkeypatch.setitem(cluster.environment, "RAY_AUTH_MODE", "disabled")
    done = cluster.called("tuning.status")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "wants its token" in done.stderr
