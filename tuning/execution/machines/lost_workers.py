"""Lost workers: whatever the error by which Ray loses a worker, it is the death of that worker, and of nothing else.

And those that Ray ends with the search: how long it waits for what they still have to upload.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def counted_as_deaths() -> Iterator[None]:
    """Within the block, Ray Tune takes every error of Ray's own for the death of the actor whose call it ended.

    Ray Tune knows two errors of a trial's call: that its actor died, and that the call raised. With any other it ends
    the whole search. There are several, such as that of Ray's memory monitor, which ends a worker when the machine's
    memory is nearly full (ray.exceptions.OutOfMemoryError).
    """
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.exceptions import RayActorError, RayError, RayTaskError

    original = RayActorManager._actor_task_failed

    def failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, (RayActorError, RayTaskError)):
            exception = RayActorError(error_msg=str(exception))
        original(self, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = failed
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = original


@contextlib.contextmanager
def given_time(seconds: float) -> Iterator[None]:
    """Within the block, Ray Tune waits so long for the workers that it ends with the search, before it kills them.

    By itself it waits 10 seconds, which no setting changes. It goes on as soon as all of them have ended.
    """
    from ray.tune.execution.tune_controller import TuneController

    original = TuneController.__init__

    def init(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        self._actor_force_cleanup_timeout = seconds

    TuneController.__init__ = init
    try:
        yield
    finally:
        TuneController.__init__ = original
