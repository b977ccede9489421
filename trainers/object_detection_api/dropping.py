"""What a model drops at random in training, image by image: the same on several devices, and nothing in an estimate."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Tracing(threading.local):
    drops = True


_tracing = _Tracing()


@contextmanager
def nothing_dropped() -> Iterator[None]:
    """A context in which a model that this thread traces in training mode has all its branches."""
    before, _tracing.drops = _tracing.drops, False
    try:
        yield
    finally:
        _tracing.drops = before


def drops() -> bool:
    """Whether the model that this thread traces drops anything: not inside `nothing_dropped`."""
    return _tracing.drops
