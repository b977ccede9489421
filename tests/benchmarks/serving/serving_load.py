"""Many clients at once, with images and videos: errors, waiting times, throughput against one client, and memory.

    .venv/bin/python tests/benchmarks/serving/serving_load.py --model studies/mobilenet-toy-city/trials/0/export

Each client sends one request after another, one in twenty a video of 4 s that it waits for, the others a 640x360 image.
Meanwhile `/healthz` is asked five times a second, each time by a new connection, as probes do; from a process of its
own, because among the clients' threads it would wait for them as well.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import requests
from serving_parts import TOKEN, Served, generated, keep, memory

from serve.client import Client
from serve.jobs.options import Options

VIDEO_SHARE = 0.05
PROBE_SECONDS = 0.2


class Press:
    """Clients that ask for `seconds`."""

    def __init__(self, served: Served, video: Path, picture: bytes, seconds: float) -> None:
        self._served, self._video, self._picture, self._seconds = served, video, picture, seconds
        self._taken: dict[str, list[float]] = defaultdict(list)
        self._errors: list[str] = []

    def run(self, clients: int) -> dict[str, Any]:
        """What they met."""
        began = time.monotonic()
        threads = [
            threading.Thread(target=self._one, args=(number, began + self._seconds))
            for number in range(clients)
        ]
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            probed = pool.submit(probe, self._served.url, self._seconds)
            for thread in threads:
                thread.start()
            used = []
            while any(thread.is_alive() for thread in threads):
                used.append(memory(self._served.process.pid))
                time.sleep(2)
            self._taken["healthz"], errors = probed.result()
            self._errors += errors
        lasted = time.monotonic() - began
        quarter = max(1, len(used) // 4)
        return {
            "clients": clients, "seconds": lasted, "error_count": len(self._errors), "errors": self._errors[:5],
            "waiting": {
                kind: {f"p{p}": float(np.percentile(times, p)) for p in (50, 95, 99)} | {"count": len(times)}
                for kind, times in self._taken.items()
            },
            "images_per_second": len(self._taken["image"]) / lasted,
            "videos_per_minute": 60 * len(self._taken["video"]) / lasted,
            "memory_mb": {
                f"quarter {i + 1}": statistics.mean(used[i * quarter : (i + 1) * quarter] or used[-1:]) for i in range(4)
            },
        }  # fmt: skip

    def _one(self, number: int, end: float) -> None:
        client, rng = Client(self._served.url, TOKEN), random.Random(number)
        while time.monotonic() < end:
            kind = "video" if rng.random() < VIDEO_SHARE else "image"
            began = time.perf_counter()
            try:
                self._ask(client, kind)
            except Exception as error:  # noqa: BLE001 - counted and shown
                self._errors.append(str(error))
            self._taken[kind].append(time.perf_counter() - began)

    def _ask(self, client: Client, kind: str) -> None:
        if kind == "image":
            client.detect([self._picture])
            return
        job = client.submit(self._video, Options())
        *_, last = client.events(job["id"])
        if last["state"] != "done":
            self._errors.append(str(last["error"]))


def probe(url: str, seconds: float) -> tuple[list[float], list[str]]:
    """Seconds that each answer of `/healthz` took, and the errors."""
    taken, errors = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        try:
            requests.get(f"{url}/healthz", timeout=30).raise_for_status()
        except requests.RequestException as error:
            errors.append(str(error))
        taken.append(time.perf_counter() - began)
        time.sleep(PROBE_SECONDS)
    return taken, errors


def main() -> None:
    """See the module's docstring."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--model", type=Path, required=True)
    line.add_argument("--seconds", type=float, default=600)
    line.add_argument("--clients", type=int, default=32)
    line.add_argument("--out", type=Path)
    chosen = line.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = generated(folder / "short.mp4", 4, 360, 640)
        with av.open(str(video)) as file:
            image = next(file.decode(video=0)).to_ndarray(format="bgr24")
        picture = cv2.imencode(".jpg", image)[1].tobytes()
        with Served(chosen.model, folder) as served:
            result = {
                "one": Press(served, video, picture, chosen.seconds / 8).run(1),
                "many": Press(served, video, picture, chosen.seconds).run(chosen.clients),
            }
    keep("serving_load", result, chosen.out)


if __name__ == "__main__":
    main()
