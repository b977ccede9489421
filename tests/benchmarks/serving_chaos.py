"""Kills parts of a real deployment by SIGKILL at random moments while videos are worked on, and counts what was lost.

    .venv/bin/python tests/benchmarks/serving_chaos.py --model studies/mobilenet-toy-city/trials/0/export --kills 40

Victims: a replica with the network, the HTTP application, Serve's proxy and controller, Ray's raylet and GCS server, the
command itself, and everything at once. Where the command or one of Ray's needed processes has died, the same command is
started again. Each job's frames are counted in its detections and, decoded, in its video.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import psutil
import requests
from serving_parts import ROOT, TOKEN, generated, keep

from serve.client import Client
from serve.errors import Refused
from serve.jobs.options import Options
from trainers.errors import UserError

# what the victims' command lines hold
VICTIMS = {
    "replica": "ServeReplica:detector:Detector",
    "HTTP application": "ServeReplica:detector:Api",
    "proxy": "ProxyActor",
    "controller": "ServeController",
    "raylet": "raylet/raylet",
    "GCS server": "gcs_server",
    "command": "",
    "everything": "",
}
PORT = 8765
GOES_ON = (
    "replica",
    "HTTP application",
    "proxy",
    "controller",
)  # without being started again, so drawn more often
WEIGHTS = [3 if kind in GOES_ON else 1 for kind in VICTIMS]
PATIENCE = 180.0  # seconds until it answers again


class Deployment:
    """`python -m serve.run`, started as often as needed over one folder of data."""

    def __init__(self, model: Path, data: Path) -> None:
        self._command = [sys.executable, "-m", "serve.run", "--model", str(model), "--data", str(data)]
        self._command += ["--port", str(PORT), "--token", TOKEN]
        self.url = f"http://127.0.0.1:{PORT}"
        self.starts = 0
        self.start()

    def start(self) -> None:
        """Until it answers."""
        self.starts += 1
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self.answers_within(PATIENCE), "it does not start"

    def answers_within(self, seconds: float) -> bool:
        """Whether it is ready before so long; False at once when the command has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(requests.RequestException):  # nobody listens yet
                if requests.get(self.url + "/readyz", timeout=5).ok:
                    return True
            time.sleep(0.2)
        return False

    def kill(self, kind: str) -> bool:
        """Whether there was one."""
        family = self._family()
        if kind == "command":
            there = [self._process]
        elif kind == "everything":
            there = [self._process, *family]
        else:
            there = [each for each in family if VICTIMS[kind] in _line(each)]
        for each in there:
            _kill(each)
        self._orphans = family
        return bool(there)

    def end(self) -> None:
        """All that is left of it."""
        for each in {*self._family(), *getattr(self, "_orphans", ())}:
            _kill(each)
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """In good order."""
        family = self._family()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        psutil.wait_procs(family, 60)

    def _family(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _kill(process: Any) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def insisting(ask: Any) -> Any:
    """As a client does: again, until there is an answer."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except (UserError, requests.RequestException) as error:
            refused = isinstance(error, Refused) and error.status < 500
            if refused or time.monotonic() > end:
                raise
            time.sleep(0.5)


def chaos(model: Path, folder: Path, kills: int, jobs: int, seed: int) -> dict[str, Any]:
    """Kill so often while so many jobs are worked on; more jobs are sent when all are done before."""
    draw = random.Random(seed)
    video = generated(folder / "clip.mp4", 30, 240, 320)
    frames = 30 * 25
    deployment = Deployment(model, folder / "data")
    client = Client(deployment.url, TOKEN)
    options = Options(track=True)
    ids: list[str] = []
    done: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    while sum(done.values()) < kills:
        states = [insisting(lambda job=job: client.job(job)["state"]) for job in ids]
        for _ in range(jobs - sum(state in ("queued", "running") for state in states)):
            key = str(len(ids))  # sent again after a broken connection, it is the same job
            ids.append(insisting(lambda key=key: client.submit(video, options, key=key))["id"])
        time.sleep(draw.uniform(0, 5))
        [kind] = draw.choices(list(VICTIMS), WEIGHTS)
        if not deployment.kill(kind):
            continue
        done[kind] += 1
        if kind in GOES_ON and deployment.answers_within(PATIENCE):
            alone[kind] += 1
        else:
            deployment.end()
            deployment.start()
        print(f"kill {sum(done.values())}: {kind}; {len(ids)} jobs so far", flush=True)
    result = {"kills": done, "went on by itself": alone, "starts": deployment.starts, "jobs": len(ids)}
    result |= counted(client, ids, frames, folder)
    listed = {job["id"] for job in client.jobs(1000)}
    deployment.stop()
    twice = len(ids) - len(set(ids)) + len(listed - set(ids))
    return result | {"jobs lost": len(set(ids) - listed), "jobs twice": twice}


def counted(client: Client, ids: list[str], frames: int, folder: Path) -> dict[str, int]:
    """Of all jobs' results: frames that are missing, and those that are there more than once."""
    count: Counter[str] = Counter(dict.fromkeys(("not done", "frames", "frames lost", "frames twice"), 0))
    for job in dict.fromkeys(ids):
        *_, last = client.events(job)
        if last["state"] != "done":
            count["not done"] += 1
            print(f"{job}: {last['state']}: {last['error']}", flush=True)
            continue
        for what in ("detections", "video"):
            client.fetch(job, what, folder / what)
        lines = (folder / "detections").read_text().splitlines()
        numbers = Counter(json.loads(line)["frame"] for line in lines)
        with av.open(str(folder / "video")) as file:
            times = Counter(Fraction(frame.pts * frame.time_base) for frame in file.decode(video=0))
        count["frames"] += len(numbers)
        count["frames lost"] += len(set(range(frames)) - numbers.keys()) + max(0, frames - len(times))
        count["frames twice"] += sum(numbers.values()) - len(numbers) + max(0, sum(times.values()) - frames)
    return dict(count)


def main() -> None:
    """See the module's docstring."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--model", type=Path, required=True)
    line.add_argument("--kills", type=int, default=40)
    line.add_argument("--jobs", type=int, default=4, help="that wait or run at any time")
    line.add_argument("--seed", type=int, default=0)
    line.add_argument("--out", type=Path)
    chosen = line.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        result = chaos(chosen.model.absolute(), Path(name), chosen.kills, chosen.jobs, chosen.seed)
    keep("serving_chaos", result | {"minutes": round((time.monotonic() - began) / 60, 1)}, chosen.out)


if __name__ == "__main__":
    main()
