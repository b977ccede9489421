"""Batcher: groups images from all jobs and requests into batches for one network."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np

from serve.backends.backend import Backend
from serve.metrics.families import STAGE_SECONDS
from serve.metrics.histogram import Histogram


class _Waiting(NamedTuple):
    """A square and the future of its result. least: see Backend.run. since: time.perf_counter when it was submitted."""

    square: np.ndarray
    future: Future[Any]
    least: float
    since: float


class NetworkFailed(Exception):
    """The network raised an error while it ran; the message is the runtime's."""


class Batcher:
    """Runs `backend` on squares in arrival order, urgent ones (image requests) first.

    One thread per stream of the backend. There is no batching delay: while all streams are busy, the next batch
    gathers, up to `size` images.
    counts: ("batches", size): batches of that size; images; errors: images in failed batches; objects: the sum of
    `count` over all results.
    network: seconds of each batch in the network. queue: seconds that each image waited for it.
    """

    def __init__(self, backend: Backend, size: int, count: Callable[[Any], int] = lambda found: 0) -> None:
        self.size = size
        self.counts: Counter[str | tuple[str, int]] = Counter()
        self.network, self.queue = Histogram(STAGE_SECONDS), Histogram(STAGE_SECONDS)
        self._count = count
        self._backend = backend
        self._waiting: deque[_Waiting] = deque()
        self._urgent: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"batcher-{i}", daemon=True)
            for i in range(backend.streams)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, square: np.ndarray, urgent: bool = False, least: float = 0.0) -> Future[Any]:
        """(S, S, 3) uint8 RGB -> a future of its result. Raises RuntimeError once closed.

        least: what has a lower score may be missing in it.
        """
        future: Future[Any] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            waiting = self._urgent if urgent else self._waiting
            waiting.append(_Waiting(square, future, least, time.perf_counter()))
            self._changed.notify()
        return future

    @property
    def capacity(self) -> int:
        """How many squares the network can process at the same time."""
        return self.size * len(self._threads)

    @property
    def waiting(self) -> int:
        """Squares not yet in a batch."""
        return len(self._urgent) + len(self._waiting)

    def close(self) -> None:
        """Process the squares that were submitted, then end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._urgent or self._waiting or self._closed):
                    self._changed.wait()
                batch: list[_Waiting] = []
                while len(batch) < self.size and (self._urgent or self._waiting):
                    batch.append((self._urgent or self._waiting).popleft())
                    self.queue.observe(time.perf_counter() - batch[-1].since)
            if not batch:
                return
            self._run_batch([each for each in batch if each.future.set_running_or_notify_cancel()])

    def _run_batch(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        began = time.perf_counter()
        try:
            squares = np.stack([each.square for each in batch])
            found = self._backend.run(squares, min(each.least for each in batch))
        except Exception as error:  # noqa: BLE001 - passed on to the callers through their futures
            with self._changed:
                self.counts["errors"] += len(batch)
            for each in batch:
                each.future.set_exception(NetworkFailed(f"{type(error).__name__}: {error}"))
            return
        seconds = time.perf_counter() - began
        with self._changed:
            self.network.observe(seconds)
            self.counts["batches", len(batch)] += 1
            self.counts["images"] += len(batch)
            self.counts["objects"] += sum(map(self._count, found))
        for each, result in zip(batch, found, strict=True):
            each.future.set_result(result)
