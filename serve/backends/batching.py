"""Batcher: the threads that own the network and give it whatever waits, from all jobs and requests together."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from concurrent.futures import Future

import numpy as np

from serve.backends.backend import Backend
from trainers.detection.samples import Found


class NetworkFailed(Exception):
    """The network raised an error while it ran; the message is its own."""


class Batcher:
    """Runs `backend` on squares in the order they come, urgent ones (a person waits for an image) first.

    A thread for each of the backend's streams. No clock decides when a batch is full: while all run, the next gathers,
    up to `size`.
    tally: what has happened: ("batches", size) how many batches had this size; images, errors (images whose batch
    failed), objects (found with a score of at least `threshold`), seconds in the network, all streams together.
    """

    def __init__(self, backend: Backend, size: int, threshold: float = 0.5) -> None:
        self.size = size
        self.tally: Counter[str | tuple[str, int]] = Counter()
        self._threshold = threshold
        self._backend = backend
        self._waiting: deque[tuple[np.ndarray, Future[Found]]] = deque()
        self._urgent: deque[tuple[np.ndarray, Future[Found]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"batcher-{i}", daemon=True)
            for i in range(backend.streams)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, square: np.ndarray, urgent: bool = False) -> Future[Found]:
        """(S, S, 3) uint8 -> what is found in it, once it has been its turn."""
        future: Future[Found] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            (self._urgent if urgent else self._waiting).append((square, future))
            self._changed.notify()
        return future

    @property
    def at_once(self) -> int:
        """So many squares the network works on together, when there are enough."""
        return self.size * len(self._threads)

    @property
    def waiting(self) -> int:
        """Squares that no batch has taken yet."""
        return len(self._urgent) + len(self._waiting)

    def close(self) -> None:
        """Finish what waits, and end."""
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
                batch: list[tuple[np.ndarray, Future[Found]]] = []
                while len(batch) < self.size and (self._urgent or self._waiting):
                    batch.append((self._urgent or self._waiting).popleft())
            if not batch:
                return
            self._detect([each for each in batch if each[1].set_running_or_notify_cancel()])

    def _detect(self, batch: list[tuple[np.ndarray, Future[Found]]]) -> None:
        if not batch:
            return
        began = time.perf_counter()
        try:
            found = self._backend.detect(np.stack([square for square, _ in batch]))
        except Exception as error:  # noqa: BLE001 - it belongs to those who asked
            with self._changed:
                self.tally["errors"] += len(batch)
            for _, future in batch:
                future.set_exception(NetworkFailed(f"{type(error).__name__}: {error}"))
            return
        seconds = time.perf_counter() - began
        with self._changed:
            self.tally["seconds"] += seconds  # type: ignore[assignment]
            self.tally["batches", len(batch)] += 1
            self.tally["images"] += len(batch)
            self.tally["objects"] += sum(int((each.scores >= self._threshold).sum()) for each in found)
        for (_, future), each in zip(batch, found, strict=True):
            future.set_result(each)
