"""A network in OpenVINO's format: converted once per machine, compiled for the CPU, with an infer request per stream."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from serve.backends import cache
from serve.backends.backend import MAX_STREAMS
from serve.tasks.task import ServedExport
from trainers.files import replace_folder
from trainers.runtimes import openvino_model


class Network:
    """Runs in float32: the lower precisions that OpenVINO may pick change results by more than parity allows.

    One stream per CPU thread, up to MAX_STREAMS: two batches in parallel on one thread each are faster than one after
    the other on two threads, which have to synchronise at every layer.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self.streams = min(threads, MAX_STREAMS)
        self._compiled = openvino_model.core().compile_model(
            str(path),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": self.streams,
                "ENABLE_CPU_PINNING": False,  # decoding and encoding share the cores
            },
        )
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()  # each request runs one batch at a time
        for _ in range(self.streams):
            self._idle.put(self._compiled.create_infer_request())

    @contextmanager
    def request(self) -> Iterator[Any]:
        """An infer request that nobody else uses meanwhile."""
        request = self._idle.get()
        try:
            yield request
        finally:
            self._idle.put(request)


def converted(export: ServedExport, version: str, change: Callable[[Any], Any]) -> Path:
    """The network in OpenVINO's format (.xml and .bin) in this machine's cache; converted first if it is not there.

    change: makes the network that is run of the one that was exported. version: of `change`.
    """
    import openvino as ov

    folder = cache.folder(export) / f"openvino-{ov.__version__.partition('-')[0]}-{version}"
    with FileLock(folder.parent / "openvino.lock"):
        if not folder.is_dir():
            model = openvino_model.read(export.saved_model, export.size)
            with replace_folder(folder) as new:
                ov.save_model(change(model), new / "network.xml", compress_to_fp16=False)
    return folder / "network.xml"
