"""Faults: whether an error is the job's own or the server's, and how often a job is tried again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from av.error import FFmpegError

from serve.backends.batching import NetworkFailed
from serve.errors import DatabaseFailed, Refused
from serve.jobs.watchdog import Stalled
from trainers.errors import UserError

MAX_TRIES = 12  # after a fault of the server; with the pauses below, 23 minutes in all
MAX_UNEXPECTED = 3  # after a stall, or an error that nobody foresaw: it will probably come again
MAX_PAUSE = 300.0


class ModelUnavailable(Exception):
    """The job's model cannot be loaded; the message is the reason."""


@dataclass(frozen=True)
class Fault:
    """What an error means for its job. reason: one line. most: tries before the job fails, 1 for a fault of its own."""

    reason: str
    most: int

    @property
    def own(self) -> bool:
        """Whether the job itself is at fault: its video or its options. Then another try would end the same way."""
        return self.most == 1


def fault_of(error: Exception) -> Fault:
    """The fault behind an exception that ended a try of a job."""
    if isinstance(error, UserError):
        later = isinstance(error, Refused) and error.status >= 500
        return Fault(str(error), MAX_TRIES if later else 1)
    if isinstance(error, NetworkFailed):
        return Fault(f"the model failed: {error}", MAX_TRIES)
    if isinstance(error, ModelUnavailable):
        return Fault(f"the model cannot be loaded: {error}", MAX_TRIES)
    if isinstance(error, Stalled):
        return Fault(f"server error: {error}", MAX_UNEXPECTED)
    if isinstance(error, MemoryError):
        return Fault("server error: out of memory", MAX_TRIES)
    if isinstance(error, OSError):
        return Fault(f"server error: {error.strerror or type(error).__name__}", MAX_TRIES)
    if isinstance(error, sqlite3.Error | DatabaseFailed):
        return Fault(f"server error: the database of jobs: {error}", MAX_TRIES)
    if isinstance(error, FFmpegError) and isinstance(error, ValueError):
        return Fault(f"the video cannot be processed ({error.strerror})", 1)
    return Fault(f"unexpected server error ({type(error).__name__})", MAX_UNEXPECTED)


def pause(faults: int) -> float:
    """Seconds until the next try, after this many faults: 2, 4, 8, ... up to MAX_PAUSE."""
    return min(MAX_PAUSE, 2.0**faults)
