"""Converts TensorFlow's disk errors to OSError, which all other code raises."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

# the inverse of what tsl/platform/default/posix_file_system.cc and errors.cc do with errno
NUMBERS = {
    tf.errors.ResourceExhaustedError: errno.ENOSPC,
    tf.errors.OutOfRangeError: errno.EFBIG,
    tf.errors.PermissionDeniedError: errno.EACCES,
}


@contextlib.contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """A context in which TensorFlow writes to `path`. Raises OSError if the disk is full or not writable."""
    try:
        yield
    except tuple(NUMBERS) as error:
        number = NUMBERS[type(error)]
        raise OSError(number, os.strerror(number), str(path)) from error
