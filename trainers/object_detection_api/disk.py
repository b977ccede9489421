"""What TensorFlow says of a disk, as the OSError that every other writer raises."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

# as tsl/platform/default/posix_file_system.cc and errors.cc turn errno into a status
NUMBERS = {
    tf.errors.ResourceExhaustedError: errno.ENOSPC,
    tf.errors.OutOfRangeError: errno.EFBIG,
    tf.errors.PermissionDeniedError: errno.EACCES,
}


@contextlib.contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """Within it, TensorFlow writes to `path`. Raises OSError where the disk is full, or may not be written."""
    try:
        yield
    except tuple(NUMBERS) as error:
        number = NUMBERS[type(error)]
        raise OSError(number, os.strerror(number), str(path)) from error
