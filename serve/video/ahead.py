"""Overlaps the stages of a pipeline: each is a plain generator, and `ahead` runs one in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T], depth: int, name: str) -> Generator[T, None, None]:
    """The same items, made in a thread that is at most `depth` of them ahead of who takes them.

    An exception of `items` is raised here, in its place. Closing this generator ends the thread and closes `items`.
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
        except BaseException as error:  # noqa: BLE001 - raised where the items are taken
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
            with_room(made)
            thread.join(0.05)


def with_room(made: queue.Queue[object]) -> None:
    """Empty a queue, so that who waits to put something into it goes on."""
    try:
        while True:
            made.get_nowait()
    except queue.Empty:
        return
