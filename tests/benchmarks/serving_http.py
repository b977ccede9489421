"""What HTTP costs: a job through the server, from the upload to the fetched result, against the same without a server.

    .venv/bin/python tests/benchmarks/serving_http.py --model studies/mobilenet-toy-city/trials/0/export

The clip is of 720p and a minute long. Server and model are loaded before; rounds take turns. The CPU seconds are of all
processes of the server, and tell more than the wall's where the machine has other work.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from serving_parts import TOKEN, Served, generated, keep, way

from serve.client import Client
from serve.jobs.options import Options


def through(served: Served, video: Path, out: Path) -> float:
    """Seconds of a job."""
    client = Client(served.url, TOKEN)
    began = time.perf_counter()
    job = client.submit(video, Options())
    states = [each["state"] for each in client.events(job["id"])]
    assert states[-1] == "done", states
    client.fetch(job["id"], "video", out)
    return time.perf_counter() - began


def http(model: Path, seconds: float, rounds: int, folder: Path) -> dict[str, Any]:
    """A row for each round."""
    video, rows = generated(folder / "clip.mp4", seconds), []
    with Served(model, folder) as served:
        through(served, generated(folder / "warm.mp4", 1), folder / "fetched.webm")
        for _ in range(rounds):
            local = way("ours", model, video)
            alone = local["frames"] / local["frames_per_second"]
            alone_cpu = local["frames"] * local["cpu_ms_a_frame"] / 1000
            before = served.cpu_seconds()
            taken = through(served, video, folder / "fetched.webm")
            taken_cpu = served.cpu_seconds() - before
            rows.append(
                {
                    "local_seconds": alone, "http_seconds": taken, "overhead": taken / alone - 1,
                    "local_cpu_seconds": alone_cpu, "http_cpu_seconds": taken_cpu,
                    "cpu_overhead": taken_cpu / alone_cpu - 1,
                }
            )  # fmt: skip
    return {"video_seconds": seconds, "start_seconds": served.start_seconds, "rounds": rows}


def main() -> None:
    """See the module's docstring."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--model", type=Path, required=True)
    line.add_argument("--seconds", type=float, default=60)
    line.add_argument("--rounds", type=int, default=3)
    line.add_argument("--out", type=Path)
    chosen = line.parse_args()
    with tempfile.TemporaryDirectory() as name:
        keep("serving_http", http(chosen.model, chosen.seconds, chosen.rounds, Path(name)), chosen.out)


if __name__ == "__main__":
    main()
