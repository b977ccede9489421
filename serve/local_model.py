"""LocalModel: an exported model in this process, of any task, for videos and images; Detector and Segmenter are such."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from shutil import move
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np

from serve import tasks
from serve.backends import choosing
from serve.backends.batching import Batcher, NetworkFailed
from serve.deployment.settings import MAX_MAP_DROP
from serve.exports.locating import located
from serve.images import as_image
from serve.jobs.limits import NO_LIMITS
from serve.jobs.progress import Progress
from serve.jobs.targets import checked_targets, options_for
from serve.video.annotating import RESULT, annotate
from serve.video.opening import probe
from trainers.errors import UserError

Image: TypeAlias = "np.ndarray | str | Path"


class LocalModel:
    """An exported model, loaded. A context manager; `close` ends its threads.

    export: an export's folder, or "models:/NAME@ALIAS" or "models:/NAME/VERSION" in MLflow's registry.
    study: instead of it, the name of a study in `studies_dir`: its best trial, exported first if needed.
    tracking_uri: MLflow server of "models:/..."; default: mlflow.db in `studies_dir`.
    backend: "openvino" or "tensorflow", of detectors also "openvino-int8" and "onnxruntime"; default: the fastest one
    on this machine, which is measured once per export and takes up to minutes the first time. threads: CPU threads;
    default: all.
    max_map_drop: mAP that openvino-int8 may lose on the export's validation images to be used; 0 to not use it.
    threshold_for: with `study`, what a detector's score threshold is to meet on the validation images: "f1",
    "precision>=.9" or "recall>=.8"; default: as exported, at first "f1".
    Raises UserError, one line, for a wrong type, a missing or damaged export, one of another task, an unknown study or
    backend, or a condition that no score meets.
    """

    task_name: str | None = None  # None: whatever the export is of

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
        max_map_drop: float = MAX_MAP_DROP,
    ) -> None:
        if (export is None) == (study is None):
            raise UserError("give either an export or study=NAME")
        check_type(export, "export", (str, Path))
        check_type(study, "study", (str,))
        check_type(studies_dir, "studies_dir", (str, Path))
        check_type(backend, "backend", (str,))
        check_type(threshold_for, "threshold_for", (str,))
        check_type(threads, "threads", (int,))
        check_type(max_map_drop, "max_map_drop", (int, float), optional=False)
        if not 0 <= max_map_drop <= 1:
            raise UserError(f"max_map_drop must be between 0 and 1, not {max_map_drop}")
        if threads is not None and threads < 1:
            raise UserError(f"threads must be at least 1, not {threads}")
        name = None if export is None else str(export)
        folder = located(name, study, Path(studies_dir), tracking_uri, threshold_for)
        self.export: Any = tasks.get(self.task_name).read(folder) if self.task_name else tasks.read(folder)
        self.task = tasks.of(self.export)
        self.choice, loaded = (
            choosing.choose(self.export, threads, [backend], max_map_drop)
            if backend
            else choosing.load_chosen(self.export, threads, max_map_drop)
        )
        self._batcher = Batcher(loaded, self.choice.batch, partial(self.task.count, self.export))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, as in the export."""
        return tuple(self.export.classes)

    @property
    def backend(self) -> str:
        """The name of the backend in use."""
        return self.choice.backend

    def _results(self, images: Image | Sequence[Image]) -> Iterator[tuple[Any, int, int]]:
        """The network's result for each image, and the image's height and width."""
        if isinstance(images, str | Path) or (isinstance(images, np.ndarray) and images.ndim != 4):
            images = [images]
        if not isinstance(images, Sequence | np.ndarray):
            raise UserError(f"images must be an array, a path or a list of them, not {type(images).__name__}")
        pending: deque[tuple[Future[Any], int, int]] = deque()
        for image in images:
            array = as_image(image)
            pending.append((self._batcher.submit(self.export.square(array)), *array.shape[:2]))
            if len(pending) > 2 * self._batcher.capacity:  # bounds the memory
                yield self._taken(pending)
        while pending:
            yield self._taken(pending)

    def _taken(self, pending: deque[tuple[Future[Any], int, int]]) -> tuple[Any, int, int]:
        future, height, width = pending.popleft()
        try:
            return future.result(), height, width
        except NetworkFailed as error:
            raise UserError(f"{self.export.directory}: the model failed: {error}") from None

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
        codec: str = "vp8",
        audio: bool = True,
        track: bool = False,
        report: Callable[[Progress], None] | None = None,
    ) -> dict[str, Any]:
        """Process a video, write the files that are named, and return the manifest (frames, objects, model, ...).

        out: the video with what was found drawn in, .webm or .mp4. detections: JSON Lines, a line per frame. coco: COCO
        results. preview: a short animation, .gif or .webp. threshold, classes: which count. every: run the model
        on every n-th frame. codec: vp8, vp9, av1 or h264; .mp4 gets h264 instead of vp8. audio: keep the sound.
        track: give objects ids. report: called after every frame.
        Raises UserError when nothing is to be written, a folder is missing, an option is invalid, or the video cannot
        be read. Nothing is written then.
        """
        check_type(video, "video", (str, Path), optional=False)
        for value, name in ((out, "out"), (detections, "detections"), (coco, "coco"), (preview, "preview")):
            check_type(value, name, (str, Path))
        source = Path(video)
        targets = checked_targets(out, detections, coco, preview)
        options = options_for(targets, threshold, classes, every, codec, audio, track)
        self.task.check_for(self.classes, options)
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
        """End the threads. The model cannot be used afterwards."""
        self._batcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_type(value: object, name: str, allowed: tuple[type, ...], optional: bool = True) -> None:
    """Raise UserError if the argument `name` is of none of these types. optional: None is allowed."""
    if value is None and optional:
        return
    if not isinstance(value, allowed) or isinstance(value, bool):
        words = " or ".join(each.__name__ for each in allowed)
        raise UserError(f"{name} must be a {words}, not {type(value).__name__}")
