"""Runs the stages of a pipeline concurrently: each is a plain generator, and `prefetch` runs one in its own thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")
_END = object()


def prefetch(items: Iterable[T], depth: int, name: str) -> Generator[T, None, None]:
    """The same items, produced in a thread that runs at most `depth` items ahead of the consumer.

    An exception from `items` is raised here, in order. Closing this generator ends the thread and closes `items`.
    """
    made: queue.Queue[object] = queue.Queue(depth)
    stopped = threading.Event()
    failed: list[BaseException] = []

    def put(item: object) -> bool:
        while not stopped.is_set():
            try:
                made.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer
            failed.append(error)
        finally:
            if isinstance(items, Generator):
                items.close()
            put(_END)

    thread = threading.Thread(target=produce, name=name, daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not _END:
            yield item  # type: ignore[misc]
        if failed:
            raise failed[0]
    finally:
        stopped.set()
        while thread.is_alive():
            _drain(made)
            thread.join(0.05)


def _drain(made: queue.Queue[object]) -> None:
    """Empty the queue, so that a blocked producer continues and sees that it is stopped."""
    try:
        while True:
            made.get_nowait()
    except queue.Empty:
        return
