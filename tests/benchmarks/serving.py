"""How fast a video is detected here, beside the way notebooks do it; what HTTP costs; and how it bears load and length.

    .venv/bin/python tests/benchmarks/serving.py speed --model EXPORT --trial TRIAL --rounds 3 --out speed.json
    .venv/bin/python tests/benchmarks/serving.py http --model EXPORT
    .venv/bin/python tests/benchmarks/serving.py load --model EXPORT --seconds 300 --clients 32
    .venv/bin/python tests/benchmarks/serving.py memory --model EXPORT --minutes 30

EXPORT is the export of the trial whose folder TRIAL is. What is compared runs in turns, each in a process of its own; a
ratio is of two runs that followed one another. Imports, loading and a first call are not timed. "notebook" is the usual
loop over the API's own export of the same trial (`exporter_lib_v2`): cv2.VideoCapture, one frame a call at its own size,
boxes drawn by OpenCV, cv2.VideoWriter with mp4v. "notebook_ours" is that loop over EXPORT's SavedModel.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
CARS = ROOT.parent / "shared" / "data" / "video" / "car-detection.mp4"
TOKEN = "benchmark"


def generated(path: Path, seconds: float, height: int = 720, width: int = 1280, rate: int = 25) -> Path:
    """A noisy street of rectangles, so that neither decoder nor encoder has it too easy."""
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


def stock(model: Path, trial: Path, folder: Path) -> dict[str, float]:
    """The API's own exporter over the trial's newest checkpoint and pipeline.config, into `folder`."""
    from trainers.object_detection_api import compat
    from tuning.worker import newest_checkpoint

    compat.install()
    import tensorflow as tf
    from google.protobuf import text_format
    from object_detection import exporter_lib_v2
    from object_detection.protos import pipeline_pb2

    newest = newest_checkpoint(trial)
    assert newest is not None
    shutil.copytree(newest[1], folder / "checkpoint")
    # it takes the checkpoint that this file names
    tf.train.update_checkpoint_state(str(folder / "checkpoint"), "ckpt")
    pipeline = text_format.Parse(
        (trial / "pipeline.config").read_text(), pipeline_pb2.TrainEvalPipelineConfig()
    )
    exporter_lib_v2.export_inference_graph(
        "image_tensor", pipeline, str(folder / "checkpoint"), str(folder / "out")
    )
    return {}


def notebook(model: Path, video: Path, out: Path, saved_model: Path) -> dict[str, float]:
    """Frames a second of the usual loop."""
    import cv2
    import tensorflow as tf

    detect = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    [name] = detect.structured_input_signature[1]
    threshold = json.loads((model / "manifest.json").read_text())["threshold"]
    capture = cv2.VideoCapture(str(video))
    _, first = capture.read()
    height, width = first.shape[:2]
    detect(**{name: tf.convert_to_tensor(first[np.newaxis])})
    capture = cv2.VideoCapture(str(video))
    writer = cv2.VideoWriter(
        str(out), cv2.VideoWriter_fourcc(*"mp4v"), capture.get(cv2.CAP_PROP_FPS), (width, height)
    )
    frames, began = 0, time.perf_counter()
    while True:
        there, image = capture.read()
        if not there:
            break
        found = detect(**{name: tf.convert_to_tensor(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[np.newaxis])})
        boxes, scores = found["detection_boxes"][0].numpy(), found["detection_scores"][0].numpy()
        for (ymin, xmin, ymax, xmax), score in zip(boxes, scores, strict=True):
            if score >= threshold:
                corners = (int(xmin * width), int(ymin * height)), (int(xmax * width), int(ymax * height))
                cv2.rectangle(image, *corners, (0, 255, 0), 2)
        writer.write(image)
        frames += 1
    writer.release()
    return {"frames_per_second": frames / (time.perf_counter() - began), "frames": frames}


def ours(model: Path, video: Path, out: Path, codec: str = "vp9") -> dict[str, Any]:
    """Frames a second of `python -m serve.detect --local`, and the seconds that each stage worked."""
    from serve.backends import choosing
    from serve.batching import Batcher
    from serve.detect import NO_LIMITS
    from serve.options import Options
    from serve.video.assembling import assemble
    from serve.video.opening import probe
    from serve.video.processing import Process
    from trainers import export as exports

    export = exports.read(model)
    choice, backend = choosing.chosen(export, model.parent / "choices")
    facts, options = probe(video, NO_LIMITS), Options(codec=codec)  # type: ignore[arg-type]
    batcher = Batcher(backend, choosing.BATCH)
    with tempfile.TemporaryDirectory(dir=out.parent) as name:
        began = time.perf_counter()
        process = Process(
            video,
            facts,
            Path(name) / "w",
            export,
            batcher,
            options,
            NO_LIMITS,
            lambda p: None,
            choice.threads,
        )
        segments = process.run()
        assemble(Path(name) / "r", video, facts, segments, process.segments, export, options, {})
        seconds = time.perf_counter() - began
    frames = process.progress.frames
    stages = {**process.progress.stages, "network": batcher.tally["seconds"]}
    return {"frames_per_second": frames / seconds, "frames": frames, "stages": stages, "backend": choice.backend,
            "peak_mb": psutil.Process().memory_info().rss / 1e6}  # fmt: skip


def alone(model: Path, video: Path, out: Path, codec: str = "vp9") -> dict[str, float]:
    """Frames a second of each stage with the machine to itself."""
    from serve.backends import choosing
    from serve.detect import NO_LIMITS
    from serve.video.decoding import Decoder
    from serve.video.encoding import SegmentWriter
    from trainers import export as exports

    export = exports.read(model)
    choice, backend = choosing.chosen(export, model.parent / "choices")
    began = time.perf_counter()
    count = sum(1 for _ in Decoder(video, NO_LIMITS))
    speeds = {"decode": count / (time.perf_counter() - began)}
    frames = [frame for frame, _ in zip(Decoder(video, NO_LIMITS), range(200), strict=False)]
    squares = np.stack([export.framing.square(frame.image) for frame in frames])
    backend.detect(squares[:8])
    began = time.perf_counter()
    for i in range(0, len(squares), 8):
        backend.detect(squares[i : i + 8])
    speeds["network"] = len(squares) / (time.perf_counter() - began)
    height, width = frames[0].image.shape[:2]
    began = time.perf_counter()
    with SegmentWriter(out, codec, width, height, Fraction(25), choice.threads) as writer:  # type: ignore[arg-type]
        for frame in frames:
            writer.write(frame.image, frame.time)
    speeds["encode"] = len(frames) / (time.perf_counter() - began)
    return speeds


CHILDREN = {"stock": stock, "notebook": notebook, "ours": ours, "alone": alone}


def child(name: str, *words: object) -> dict[str, Any]:
    """Run one of CHILDREN in a process of its own; its peak memory too."""
    command = [sys.executable, __file__, "child", name, *map(str, words)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    peak = [0]
    watch = threading.Thread(target=_watch, args=(process, peak))
    watch.start()
    out, _ = process.communicate()
    watch.join()
    assert process.returncode == 0, f"{command} failed"
    return dict(json.loads(out.splitlines()[-1])) | {"peak_mb": peak[0] / 1e6}


def _watch(process: subprocess.Popen[str], peak: list[int]) -> None:
    while process.poll() is None:
        peak[0] = max(peak[0], _memory(process.pid))
        time.sleep(0.2)


def _memory(pid: int) -> int:
    """Resident bytes of a process and its descendants."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for each in (parent, *parent.children(recursive=True)):
            try:
                total += each.memory_info().rss
            except psutil.NoSuchProcess:
                continue
    except psutil.NoSuchProcess:
        return 0
    return total


def speed(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """1: against the notebook way, and against the slowest stage alone."""
    child("stock", chosen.model, chosen.trial, folder)
    videos = {"720p": generated(folder / "720p.mp4", 20)} | ({"cars": CARS} if CARS.exists() else {})
    result: dict[str, Any] = {}
    for name, video in videos.items():
        rows = []
        for _ in range(chosen.rounds):
            row: dict[str, Any] = {}
            for each, exported in (("notebook", folder / "out"), ("notebook_ours", chosen.model)):
                row[each] = child(
                    "notebook", chosen.model, video, folder / "out.mp4", exported / "saved_model"
                )
            row["ours"] = child("ours", chosen.model, video, folder / "out.webm", chosen.codec)
            row["alone"] = child("alone", chosen.model, video, folder / "out.webm", chosen.codec)
            here = row["ours"]["frames_per_second"]
            row["times_notebook"] = here / row["notebook"]["frames_per_second"]
            row["times_notebook_ours"] = here / row["notebook_ours"]["frames_per_second"]
            row["of_slowest_stage"] = here / min(
                row["alone"][each] for each in ("decode", "network", "encode")
            )
            rows.append(row)
        result[name] = rows
    return result


class Served:
    """`python -m serve.run` for a benchmark."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.url = "http://127.0.0.1:8765"
        command = [sys.executable, "-m", "serve.run", "--model", str(model), "--data", str(folder / "data")]
        command += ["--port", "8765", "--token", TOKEN]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        while "serving on" not in (line := self.process.stdout.readline()):
            assert line, "the server did not start"

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def http(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """2: a job through the server against the same in one process, a one-minute clip."""
    from serve.client import Client
    from serve.options import Options

    video, rows = generated(folder / "minute.mp4", 60), []
    for _ in range(chosen.rounds):
        local = child("ours", chosen.model, video, folder / "out.webm")
        seconds = local["frames"] / local["frames_per_second"]
        with Served(chosen.model, folder) as served:
            client = Client(served.url, TOKEN)
            began = time.perf_counter()
            job = client.submit(video, Options())
            states = [each["state"] for each in client.events(job["id"])]
            client.fetch(job["id"], "video", folder / "fetched.webm")
            through = time.perf_counter() - began
        assert states[-1] == "done"
        rows.append({"local_seconds": seconds, "http_seconds": through, "overhead": through / seconds - 1})
    return {"minute": rows}


def load(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """3: many clients with images and videos; one client before, for comparison."""
    import cv2

    from serve.client import Client
    from serve.options import Options

    video = generated(folder / "short.mp4", 4, 360, 640)
    with av.open(str(video)) as file:
        image = next(file.decode(video=0)).to_ndarray(format="bgr24")
    picture = cv2.imencode(".jpg", image)[1].tobytes()

    def press(served: Served, clients: int, seconds: float) -> dict[str, Any]:
        taken: dict[str, list[float]] = defaultdict(list)
        errors: list[str] = []
        memory: list[float] = []
        end = time.monotonic() + seconds

        def one(number: int) -> None:
            client, rng = Client(served.url, TOKEN), random.Random(number)
            while time.monotonic() < end:
                kind = "video" if rng.random() < 0.05 else "image"
                began = time.perf_counter()
                try:
                    if kind == "image":
                        client.detect([picture])
                    else:
                        job = client.submit(video, Options())
                        last = list(client.events(job["id"]))[-1]
                        if last["state"] != "done":
                            errors.append(str(last["error"]))
                except Exception as error:  # noqa: BLE001 - counted and shown
                    errors.append(str(error))
                taken[kind].append(time.perf_counter() - began)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            memory.append(_memory(served.process.pid) / 1e6)
            time.sleep(2)
        percentiles = {
            kind: {f"p{p}": float(np.percentile(times, p)) for p in (50, 95, 99)} | {"count": len(times)}
            for kind, times in taken.items()
        }
        quarter = max(1, len(memory) // 4)
        return {
            "clients": clients, "errors": errors[:5], "error_count": len(errors), "seconds": percentiles,
            "images_per_second": len(taken["image"]) / seconds, "videos_per_minute": 60 * len(taken["video"]) / seconds,
            "memory_mb_second_quarter": statistics.mean(memory[quarter : 2 * quarter] or memory),
            "memory_mb_last_quarter": statistics.mean(memory[-quarter:]),
        }  # fmt: skip

    with Served(chosen.model, folder) as served:
        return {
            "one": [press(served, 1, chosen.seconds / 5)],
            "many": [press(served, chosen.clients, chosen.seconds)],
        }


def memory(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """4: the peak of a long video against that of a short one."""
    rows = []
    for seconds in (30, 60 * chosen.minutes):
        video = generated(folder / f"{seconds}.mp4", seconds, 240, 320)
        row = child("ours", chosen.model, video, folder / "out.webm")
        rows.append(
            {
                "video_seconds": seconds,
                "peak_mb": row["peak_mb"],
                "frames_per_second": row["frames_per_second"],
            }
        )
    return {"memory": [*rows, {"long_over_short": rows[1]["peak_mb"] / rows[0]["peak_mb"]}]}


BENCHMARKS = {"speed": speed, "http": http, "load": load, "memory": memory}


def show(result: dict[str, Any]) -> None:
    """Medians and spread of every number."""
    table = Table("", "number", "median", "least", "most")
    for name, rows in result.items():
        flat: dict[str, list[float]] = defaultdict(list)
        for row in rows:
            for key, value in _flat(row):
                flat[key].append(value)
        for key, values in flat.items():
            table.add_row(
                name,
                key,
                *(f"{value:.3f}" for value in (statistics.median(values), min(values), max(values))),
            )
    Console(width=120).print(table)


def _flat(row: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for key, value in row.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            found.append((prefix + key, float(value)))
    return found


def main() -> None:
    """See the module's docstring."""
    if sys.argv[1:2] == ["child"]:
        words = [Path(word) if "/" in word else word for word in sys.argv[3:]]
        print(json.dumps(CHILDREN[sys.argv[2]](*words)))
        return
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("benchmark", choices=BENCHMARKS)
    line.add_argument("--model", type=Path, required=True, help="an export's folder")
    line.add_argument(
        "--trial", type=Path, help="for speed: the folder of the trial that it is the export of"
    )
    line.add_argument("--codec", default="vp9")
    line.add_argument("--rounds", type=int, default=3)
    line.add_argument("--seconds", type=float, default=300)
    line.add_argument("--clients", type=int, default=32)
    line.add_argument("--minutes", type=int, default=30)
    line.add_argument("--out", type=Path)
    chosen = line.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = BENCHMARKS[chosen.benchmark](chosen, Path(name))
    show(result)
    if chosen.out:
        chosen.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
