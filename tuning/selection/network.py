"""Network: runs an export's network in OpenVINO on batches of images, and gives the class scores of each detection."""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from trainers.detection.export import Export, read
from trainers.hardware.machine import cpus_here
from trainers.runtimes import RAW, SELECTED, openvino_model
from tuning.selection.scored import Found
from tuning.selection.strategy import LEAST_SCORE

EMBEDDING = "embedding"
DETECTIONS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")


class Network:
    """The detector of an export, on the CPU. Raises UserError if the folder is none.

    streams: how many threads may call `run` at the same time, each on a CPU. cpus: as many; None for all.
    embeddings: the length of an image's embedding; 0 for an export of an earlier version, which has none.
    """

    def __init__(self, folder: Path, cpus: int | None = None) -> None:
        self.export: Export = read(folder)
        self.streams = cpus or cpus_here()
        model = openvino_model.read(self.export.saved_model, self.export.size)
        names = {name for output in model.outputs for name in output.get_names()}
        more = [EMBEDDING] if EMBEDDING in names else []
        self.embeddings = model.output(EMBEDDING).get_partial_shape()[1].get_length() if more else 0
        self._suppression = self.export.manifest.get("suppression")
        if self._suppression is not None:
            model = openvino_model.with_suppression(model, self._suppression, 0.0, more)
        self._outputs = (*RAW, *more, *(DETECTIONS if self._suppression is None else (SELECTED,)))
        options = {
            "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": self.streams, "NUM_STREAMS": self.streams,
            "ENABLE_CPU_PINNING": False,  # the same cores decode images
        }  # fmt: skip
        compiled = openvino_model.core().compile_model(model, "CPU", options)
        self._idle: queue.SimpleQueue[object] = queue.SimpleQueue()  # each request runs one batch at a time
        for _ in range(self.streams):
            self._idle.put(compiled.create_infer_request())
        # the binding sets itself up in its first call: two threads that both make the first one wait for ever
        size = self.export.size
        self.run(np.zeros((1, size, size, 3), np.uint8), [(size, size)])

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        return self.export.classes

    def square(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (S, S, 3) uint8, as serving resizes it."""
        return self.export.framing.square(image)

    def run(
        self, squares: np.ndarray, sizes: Sequence[tuple[int, int]]
    ) -> list[tuple[Found, np.ndarray | None]]:
        """Detections, boxes normalised to the images, and embedding of each of N images.

        squares: (N, S, S, 3) uint8. sizes: (height, width) of the images that they were made from.
        """
        inputs = {"images": squares}
        if self._suppression is not None:
            inputs[openvino_model.LEAST] = np.array(LEAST_SCORE, np.float32)
        request = self._idle.get()
        try:
            results = request.infer(inputs)  # type: ignore[attr-defined]
            out = {
                name: np.array(results[name]) for name in self._outputs
            }  # the next batch overwrites the results
        finally:
            self._idle.put(request)
        found = self._matched(out) if self._suppression is None else _kept(out, self._suppression["in_all"])
        return [
            (
                Found(self.export.framing.restore(boxes, *size), probabilities),
                out[EMBEDDING][i] if self.embeddings else None,
            )
            for i, ((boxes, probabilities), size) in enumerate(zip(found, sizes, strict=True))
        ]

    def _matched(self, out: Mapping[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """The boxes and class scores that the export's own suppression kept: the raw ones that are most equal to them.

        Suppression keeps boxes and scores as they are.
        """
        found = []
        for i, count in enumerate(out["num_detections"].astype(int)):
            keep = int((out["detection_scores"][i, :count] >= LEAST_SCORE).sum())  # the best are first
            boxes, scores = out["detection_boxes"][i, :keep], out["detection_scores"][i, :keep]
            classes = out["detection_classes"][i, :keep].astype(int) - 1
            raw_boxes, raw_scores = (out[name][i] for name in RAW)
            off = np.abs(raw_scores[:, classes].T - scores[:, np.newaxis])
            off = off + 1e-3 * np.abs(raw_boxes.clip(0, 1) - boxes[:, np.newaxis]).sum(axis=2)
            found.append((boxes, raw_scores[off.argmin(axis=1)]))
        return found


def _kept(out: Mapping[str, np.ndarray], most: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each image the boxes that suppression kept, clipped, (D, 4), and their class scores, (D, C); best first.

    most: detections in an image; boxes that are empty after clipping do not count.
    """
    raw_boxes, raw_scores = (out[name] for name in RAW)
    rows = out[SELECTED][out[SELECTED][:, 0] >= 0]
    found = []
    for image in range(len(raw_boxes)):
        _, classes, places = rows[rows[:, 0] == image].T
        best = np.argsort(-raw_scores[image, places, classes], kind="stable")
        boxes = raw_boxes[image, places[best]].clip(0, 1)
        whole = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))[:most]
        found.append((boxes[whole], raw_scores[image, places[best[whole]]]))
    return found
