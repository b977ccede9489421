"""Segmentation: an evaluation of 1,000 images at 160 px; a video here and by a loop over `model.predict` with OpenCV.

    .venv/bin/python tests/benchmarks/training/segmentation.py --data ../shared/data/follow_me \\
        --video ../shared/data/video/car-detection.mp4 --rounds 3

The network is `fcn` with the space's defaults, trained for `--steps`: masks of a network that has learned nothing are
noise, which costs more to encode and to draw than regions do. The loop reads by cv2.VideoCapture, resizes, calls
`model.predict` for each frame and, as the defaults do, for its mirror image, resizes the scores, lays the mask over the
frame and writes with cv2.VideoWriter (mp4v); here, Segmenter.annotate writes H.264 and a line for each frame as well.
Both take turns, so that other load on the machine hits both; `cpu_seconds` does not depend on it. `--plain` is without
mirror images.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from machine import machine  # noqa: E402

IMAGES, SIDE = 1000, 160


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds by the clock, seconds of CPU time, and what it gives."""
    began, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - began, time.process_time() - cpu, result


def by_predict(model: Any, side: int, video: str, out: str, flip: bool) -> int:
    """The usual loop; returns the number of frames."""
    import cv2
    import numpy as np

    colours = np.array([[0, 0, 0], [0, 200, 0], [200, 0, 0]], np.uint8)
    reader = cv2.VideoCapture(video)
    size = int(reader.get(cv2.CAP_PROP_FRAME_WIDTH)), int(reader.get(cv2.CAP_PROP_FRAME_HEIGHT))
    writer = cv2.VideoWriter(out, cv2.VideoWriter_fourcc(*"mp4v"), reader.get(cv2.CAP_PROP_FPS), size)
    frames = 0
    while True:
        read, frame = reader.read()
        if not read:
            break
        small = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), (side, side)).astype(np.float32)
        seen = np.stack([small, small[:, ::-1]]) if flip else small[np.newaxis]
        logits = model.predict(seen, verbose=0)
        if flip:
            odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
            shares = odds / odds.sum(axis=-1, keepdims=True)
            logits = (shares[:1] + shares[1:, :, ::-1]) / 2
        scores = cv2.resize(logits[0], size)
        mask = scores.argmax(axis=-1)
        writer.write(cv2.addWeighted(frame, 1.0, colours[mask % 3], 0.5, 0))
        frames += 1
    writer.release()
    return frames


def main() -> None:
    """Measure, and print one line of JSON."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--data", required=True, help="images and masks")
    line.add_argument("--video", help="a video; without it, the evaluation alone is measured")
    line.add_argument("--rounds", type=int, default=3)
    line.add_argument("--steps", type=int, default=200, help="of training before; 1: masks of noise")
    line.add_argument("--plain", action="store_true", help="without mirror images, here and in the loop")
    given = line.parse_args()

    from serve.segmenter import Segmenter
    from trainers import model as models
    from trainers import recipe as recipes
    from trainers.segmentation.task import SEGMENTATION
    from trainers.segmentation.trainer import SegmentationTrainer

    found: dict[str, Any] = {"machine": machine(), "evaluation": [], "here": [], "predict": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = SEGMENTATION.open_data(given.data, folder / "cache")
        fields = {"model": "fcn", **models.get("fcn").presets["laptop"], "image_size": SIDE}
        recipe = recipes.build(fields | ({"flip_test": False} if given.plain else {}))
        flip = not given.plain
        trainer = SegmentationTrainer(dataset)
        trainer.start(recipe)
        trainer.train(given.steps)
        trainer.evaluate()  # traces, and makes the arrays
        scale = IMAGES / dataset.validation.images
        for _ in range(given.rounds):
            clock, cpu, _ = timed(trainer.evaluate)
            found["evaluation"].append({"seconds": clock * scale, "cpu_seconds": cpu * scale})
        if given.video:
            trainer.export(folder / "export")
            model = trainer._graph.model
            with Segmenter(folder / "export") as segmenter:
                found["backend"] = segmenter.backend
                for _ in range(given.rounds):
                    for way, work in (
                        (
                            "predict",
                            lambda: by_predict(model, SIDE, given.video, str(folder / "a.mp4"), flip),
                        ),
                        ("here", lambda: segmenter.annotate(given.video, folder / "b.mp4")["frames"]),
                    ):
                        clock, cpu, frames = timed(work)
                        found[way].append({"frames_per_second": frames / clock, "cpu_seconds": cpu})
            speeds = [
                ours["frames_per_second"] / theirs["frames_per_second"]
                for ours, theirs in zip(found["here"], found["predict"], strict=True)
            ]
            found["times_faster"] = statistics.median(speeds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
