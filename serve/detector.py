"""Detector: an exported detector in this process, for images and videos. `serve.detect --local` uses it too."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from shutil import move
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

from serve.backends import choosing, measuring
from serve.backends.batching import Batcher, NetworkFailed
from serve.detections import Detections, in_image
from serve.exports.locating import located
from serve.images import as_image
from serve.jobs.limits import NO_LIMITS
from serve.jobs.progress import Progress
from serve.jobs.targets import checked_targets, options_for
from serve.video.annotating import RESULT, annotate
from serve.video.opening import probe
from trainers.detection import export as exports
from trainers.detection.samples import DetectionArrays
from trainers.errors import UserError

Image: TypeAlias = "np.ndarray | str | Path"


class Detector:
    """An exported detector, loaded. A context manager; `close` ends its threads.

    export: an export's folder, or "models:/NAME@ALIAS" or "models:/NAME/VERSION" in MLflow's registry.
    study: instead of it, the name of a study in `studies_dir`: its best trial, exported first if needed.
    tracking_uri: MLflow server of "models:/..."; default: mlflow.db in `studies_dir`.
    backend: "openvino" or "tensorflow"; default: the faster one on this machine, which is measured once per export and
    takes some seconds the first time. threads: CPU threads; default: all.
    threshold_for: with `study`, what its score threshold is to meet on the validation images: "f1", "precision>=.9" or
    "recall>=.8"; default: as exported, at first "f1".
    Raises UserError, one line, for a wrong type, a missing or damaged export, or an unknown study or backend, or a
    condition that no score meets.
    """

    def __init__(
        self,
        export: str | Path | None = None,
        *,
        study: str | None = None,
        studies_dir: str | Path = "studies",
        tracking_uri: str | None = None,
        backend: str | None = None,
        threads: int | None = None,
        threshold_for: str | None = None,
    ) -> None:
        if (export is None) == (study is None):
            raise UserError("give either an export or study=NAME")
        _check(export, "export", (str, Path))
        _check(study, "study", (str,))
        _check(studies_dir, "studies_dir", (str, Path))
        _check(backend, "backend", (str,))
        _check(threshold_for, "threshold_for", (str,))
        _check(threads, "threads", (int,))
        if threads is not None and threads < 1:
            raise UserError(f"threads must be at least 1, not {threads}")
        name = None if export is None else str(export)
        self.export = exports.read(located(name, study, Path(studies_dir), tracking_uri, threshold_for))
        self.choice, loaded = (
            choosing.choose(self.export, threads, names=[backend])
            if backend
            else choosing.load_chosen(self.export, threads)
        )
        self._batcher = Batcher(loaded, measuring.BATCH, self.export.threshold)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the class with id i is classes[i - 1]."""
        return self.export.classes

    @property
    def threshold(self) -> float:
        """The export's own score threshold, the default of `detect` and `annotate`."""
        return self.export.threshold

    @property
    def backend(self) -> str:
        """The name of the backend in use."""
        return self.choice.backend

    def detect(self, images: Image | Sequence[Image], threshold: float | None = None) -> list[Detections]:
        """Detections of each image, in order; a list of one for a single image.

        images: an (H, W, 3) uint8 RGB array, the path of an image file, or a list of either; sizes may differ.
        threshold: minimum score, 0 to 1; default: the export's own.
        Raises UserError for another type, shape or dtype, or a file that is missing or not an image.
        """
        if threshold is None:
            threshold = self.threshold
        _check(threshold, "threshold", (int, float))
        if not 0 <= threshold <= 1:
            raise UserError(f"threshold must be between 0 and 1, not {threshold}")
        if isinstance(images, str | Path) or (isinstance(images, np.ndarray) and images.ndim != 4):
            images = [images]
        if not isinstance(images, Sequence | np.ndarray):
            raise UserError(f"images must be an array, a path or a list of them, not {type(images).__name__}")
        results: list[Detections] = []
        pending: deque[tuple[Future[DetectionArrays], int, int]] = deque()

        def take() -> None:
            future, height, width = pending.popleft()
            try:
                found = future.result()
            except NetworkFailed as error:
                raise UserError(f"{self.export.directory}: the model failed: {error}") from None
            results.append(in_image(found, self.export, threshold, height, width))

        for image in images:
            array = as_image(image)
            square = self.export.framing.square(array)
            pending.append((self._batcher.submit(square), *array.shape[:2]))
            if len(pending) > 2 * self._batcher.capacity:  # bounds the memory
                take()
        while pending:
            take()
        return results

    def annotate(
        self,
        video: str | Path,
        out: str | Path | None = None,
        *,
        detections: str | Path | None = None,
        coco: str | Path | None = None,
        preview: str | Path | None = None,
        threshold: float | None = None,
        classes: Sequence[str] | None = None,
        every: int = 1,
        codec: str = "vp9",
        audio: bool = True,
        track: bool = False,
        report: Callable[[Progress], None] | None = None,
    ) -> dict[str, Any]:
        """Detect in a video, write the files that are named, and return the manifest (frames, objects, model, ...).

        out: the video with boxes drawn in, .webm or .mp4. detections: JSON Lines, a line per frame. coco: COCO results.
        preview: a short animation, .gif or .webp. threshold, classes: which detections count. every: run the detector
        on every n-th frame. codec: vp9, av1 or h264; .mp4 gets h264 instead of vp9. audio: keep the sound.
        track: give objects ids. report: called after every frame.
        Raises UserError when nothing is to be written, a folder is missing, an option is invalid, or the video cannot
        be read. Nothing is written then.
        """
        _check(video, "video", (str, Path), optional=False)
        for value, name in ((out, "out"), (detections, "detections"), (coco, "coco"), (preview, "preview")):
            _check(value, name, (str, Path))
        source = Path(video)
        targets = checked_targets(out, detections, coco, preview)
        options = options_for(targets, threshold, classes, every, codec, audio, track)
        if not source.is_file():
            raise UserError(f"{source}: no such file")
        facts = probe(source, NO_LIMITS)
        # next to the first target, so that the space is needed on the disk of the result
        beside = next(iter(targets.values())).absolute().parent
        with tempfile.TemporaryDirectory(dir=beside, prefix=".detect-") as name:
            folder = Path(name)
            try:
                manifest = annotate(
                    source, facts, folder, self.export, self._batcher, options, NO_LIMITS,
                    report or (lambda progress: None), about={"backend": self.backend},
                    threads=self.choice.threads, with_seconds=True,
                )  # fmt: skip
            except NetworkFailed as error:
                raise UserError(f"{self.export.directory}: the model failed: {error}") from None
            for what, target in targets.items():
                move(folder / RESULT / manifest["files"][what], target)
        return manifest

    def close(self) -> None:
        """End the threads. The detector cannot be used afterwards."""
        self._batcher.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check(value: object, name: str, allowed: tuple[type, ...], optional: bool = True) -> None:
    if value is None and optional:
        return
    if not isinstance(value, allowed) or isinstance(value, bool):
        words = " or ".join(each.__name__ for each in allowed)
        raise UserError(f"{name} must be a {words}, not {type(value).__name__}")
