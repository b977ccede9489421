"""Ways to get a video with boxes, each run by the serving benchmarks in a process of its own (serving_parts.way).

Imports, loading and a first call are not timed. Each prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))


def stock(trial: str, folder: str) -> dict[str, Any]:
    """The API's own exporter (exporter_lib_v2) over the trial's newest checkpoint, into `folder`/out."""
    from trainers.object_detection_api import compat
    from tuning.study.trial_folder import newest_checkpoint

    compat.install()
    import tensorflow as tf
    from google.protobuf import text_format
    from object_detection import exporter_lib_v2
    from object_detection.builders import model_builder
    from object_detection.protos import pipeline_pb2

    newest = newest_checkpoint(Path(trial))
    assert newest is not None
    pipeline = text_format.Parse(
        (Path(trial) / "pipeline.config").read_text(), pipeline_pb2.TrainEvalPipelineConfig()
    )
    model = model_builder.build(pipeline.model, is_training=False)
    model.predict(*model.preprocess(tf.zeros([1, 64, 64, 3])))  # which makes its variables
    # it wants a checkpoint as a CheckpointManager writes it, with a count of saves
    checkpoint = tf.train.Checkpoint(model=model)
    checkpoint.restore(str(newest[1] / "ckpt")).expect_partial()
    saved = str(Path(folder) / "checkpoint")
    tf.train.CheckpointManager(checkpoint, saved, 1).save()
    exporter_lib_v2.export_inference_graph("image_tensor", pipeline, saved, str(Path(folder) / "out"))
    return {}


def notebook(model: str, video: str, out: str, saved_model: str) -> dict[str, Any]:
    """The usual loop: cv2.VideoCapture, one frame a call at its own size, boxes by OpenCV, cv2.VideoWriter with mp4v.

    model: the export, for its threshold; saved_model: what is called.
    """
    import tensorflow as tf

    detect = tf.saved_model.load(saved_model).signatures["serving_default"]
    [name] = detect.structured_input_signature[1]
    threshold = json.loads((Path(model) / "manifest.json").read_text())["threshold"]
    capture = cv2.VideoCapture(video)
    _, first = capture.read()
    height, width = first.shape[:2]
    detect(**{name: tf.convert_to_tensor(first[np.newaxis])})
    capture = cv2.VideoCapture(video)
    rate = capture.get(cv2.CAP_PROP_FPS)
    writer = cv2.VideoWriter(out, cv2.VideoWriter_fourcc(*"mp4v"), rate, (width, height))
    frames, began, cpu = 0, time.perf_counter(), time.process_time()
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
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "frames_per_second": frames / seconds, "frames": frames, "cpu_ms_a_frame": 1000 * cpu / frames,
    }  # fmt: skip


def ours(
    model: str,
    video: str,
    codec: str = "vp8",
    every: str = "1",
    backend: str | None = None,
    sound: str = "sound",
) -> dict[str, Any]:
    """`python -m serve.detect --local --every EVERY --backend BACKEND`, and the seconds that each stage worked.

    sound: "no" for --no-audio.
    """
    from serve import Detector

    with Detector(model, backend=backend) as detector, tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        out = Path(folder) / f"video.{'mp4' if codec == 'h264' else 'webm'}"
        manifest = detector.annotate(video, out, codec=codec, every=int(every), audio=sound != "no")
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    frames = manifest["frames"]
    return {
        "frames_per_second": frames / seconds, "frames": frames, "cpu_ms_a_frame": 1000 * cpu / frames,
        "stage_seconds": manifest["stage_seconds"], "backend": manifest["backend"],
    }  # fmt: skip


def alone(model: str, video: str, out: str, codec: str, backend_name: str) -> dict[str, Any]:
    """Frames a second of each stage with the machine to itself, and all its threads."""
    from serve.backends import choosing, measuring
    from serve.jobs.limits import NO_LIMITS
    from serve.jobs.options import Options
    from serve.tasks.detection import TASK
    from serve.video.decoding import Decoder
    from serve.video.encoding import SegmentWriter, planes_of
    from trainers.detection import export as exports

    export = exports.read(Path(model))
    choice, backend = choosing.choose(export, names=[backend_name])
    began = time.perf_counter()
    count = sum(1 for _ in Decoder(Path(video), NO_LIMITS))
    speeds: dict[str, Any] = {"decode": count / (time.perf_counter() - began)}
    frames = [frame for frame, _ in zip(Decoder(Path(video), NO_LIMITS), range(200), strict=False)]
    with ThreadPoolExecutor(choice.threads) as pool:
        began = time.perf_counter()
        squares = np.stack(list(pool.map(lambda frame: export.square(frame.image), frames)))
        speeds["resize"] = len(frames) / (time.perf_counter() - began)
    size = choice.batch
    batches = [squares[i : i + size] for i in range(0, len(squares), size)]
    least = TASK.least_score(export, Options())
    measuring.in_all_streams(backend, batches[: backend.streams], least)
    began = time.perf_counter()
    measuring.in_all_streams(backend, batches, least)
    speeds["network"] = len(squares) / (time.perf_counter() - began)
    height, width = frames[0].image.shape[:2]
    with ThreadPoolExecutor(choice.threads) as pool:
        began = time.perf_counter()
        planes = list(pool.map(lambda frame: planes_of(frame.image), frames))
        yuv = time.perf_counter() - began
    began = time.perf_counter()
    with SegmentWriter(Path(out), codec, width, height, Fraction(25), choice.threads) as writer:  # type: ignore[arg-type]
        for frame, each in zip(frames, planes, strict=True):
            writer.write(each, frame.time)
    speeds["encode"] = len(frames) / (time.perf_counter() - began + yuv)
    return speeds


if __name__ == "__main__":
    name, *words = sys.argv[1:]
    print(json.dumps({"stock": stock, "notebook": notebook, "ours": ours, "alone": alone}[name](*words)))
