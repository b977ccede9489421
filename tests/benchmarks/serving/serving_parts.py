"""What the serving benchmarks share: generated videos, watched processes, a server, the file of results."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from machine import machine  # noqa: E402

CARS = ROOT.parent / "shared" / "data" / "video" / "car-detection.mp4"
RESULTS = Path(__file__).resolve().parents[1] / "results"
TOKEN = "token-of-the-benchmarks"


def generated(path: Path, seconds: float, height: int = 720, width: int = 1280, rate: int = 25) -> Path:
    """A street of moving rectangles over noise in blocks, so that neither decoder nor encoder has it too easy."""
    rng = np.random.default_rng(3)
    background = rng.integers(60, 160, (height // 8, width // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    cars = [(*rng.uniform(0, 1, 2), *rng.uniform(-0.2, 0.2, 2), rng.integers(0, 255, 3)) for _ in range(12)]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for index in range(round(seconds * rate)):
            image = background.copy()
            for x, y, dx, dy, colour in cars:
                left, top = (
                    int((p + d * index / rate) % 1 * s) for p, d, s in ((x, dx, width), (y, dy, height))
                )
                image[top : top + height // 8, left : left + width // 8] = colour
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    return path


def way(name: str, *words: object) -> dict[str, Any]:
    """What a function of serving_ways.py returns, called in a process of its own; with its `peak_mb`, of memory."""
    command = [sys.executable, str(Path(__file__).with_name("serving_ways.py")), name, *map(str, words)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    peak = [0.0]
    watch = threading.Thread(target=_watch, args=(process, peak))
    watch.start()
    out, errors = process.communicate()
    watch.join()
    assert process.returncode == 0, f"{command} failed: {errors[-3000:]}"
    return dict(json.loads(out.splitlines()[-1])) | {"peak_mb": round(peak[0], 1)}


def _watch(process: subprocess.Popen[str], peak: list[float]) -> None:
    while process.poll() is None:
        peak[0] = max(peak[0], memory(process.pid))
        time.sleep(0.2)


def memory(pid: int) -> float:
    """Resident megabytes of a process and its descendants."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for each in (parent, *parent.children(recursive=True)):
            try:
                total += each.memory_info().rss
            except psutil.NoSuchProcess:
                continue
    except psutil.NoSuchProcess:
        return 0.0
    return total / 1e6


class Served:
    """`python -m serve.run` over an export, with its data in `folder`/data. A context manager.

    start_seconds: until it said that it serves.
    """

    def __init__(self, model: Path, folder: Path, *words: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url, self.data = f"http://127.0.0.1:{port}", folder / "data"
        command = [sys.executable, "-m", "serve.run", "--model", str(model), "--data", str(self.data)]
        command += ["--port", str(port), "--token", TOKEN, *words]
        began = time.monotonic()
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        while "serving on" not in (line := self.process.stdout.readline()):
            assert line, "the server did not start"
        self.start_seconds = time.monotonic() - began

    def cpu_seconds(self) -> float:
        """That all its processes have used so far."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        times = [each.cpu_times() for each in (psutil.Process(self.process.pid), *family)]
        return sum(time.user + time.system for time in times)

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def keep(name: str, result: dict[str, Any], out: Path | None) -> None:
    """Show every number (median and spread where there are rounds), and add the result to the list in its file."""
    table = Table("number", "median", "least", "most", title=name)
    for key, values in _columns(result).items():
        numbers = (statistics.median(values), min(values), max(values))
        table.add_row(key, *(f"{value:.3f}" for value in numbers))
    Console(width=120).print(table)
    path = out or RESULTS / f"{name}.json"
    earlier = json.loads(path.read_text()) if path.exists() else []
    path.write_text(json.dumps([*earlier, {"machine": machine()} | result], indent=1) + "\n")


def _columns(value: Any, name: str = "") -> dict[str, list[float]]:
    """Numbers by their dotted name; those of a list's rows together."""
    columns: dict[str, list[float]] = defaultdict(list)
    if isinstance(value, int | float):
        columns[name].append(float(value))
    elif isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else (("", each) for each in value)
        for key, each in inner:
            for column, numbers in _columns(each, ".".join(filter(None, (name, key)))).items():
                columns[column] += numbers
    return columns
