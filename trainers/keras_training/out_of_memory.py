"""Exhausted memory, which TensorFlow reports in several ways, ends a trial; the reason names what to make smaller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from trainers.errors import TrialFailed

# CUDA, cuDNN and XLA report it as one of these errors with one of these texts
_OTHERS = (tf.errors.InternalError, tf.errors.UnknownError, tf.errors.AbortedError)
_TEXTS = ("out of memory", "out_of_memory", "resource_exhausted", "alloc_failed", "failed to allocate")
_SHOWN = 200  # characters of the error


@contextmanager
def out_of_memory_as_failure(what: str) -> Iterator[None]:
    """A context that raises TrialFailed when memory is exhausted. what: the sizes, such as "batch 8 at 640 px"."""
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError, *_OTHERS) as error:
        text = " ".join(str(error).split())
        if isinstance(error, _OTHERS) and not any(each in text.lower() for each in _TEXTS):
            raise
        raise TrialFailed(f"out of memory with {what}: {text[:_SHOWN]}") from None
