"""Ray's own processes on this machine: starting them, and ending the driver in one line when one of them has died."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from trainers.errors import UserError

# without one of these no trial can run, and none can be begun; the others Ray does without
NEEDED = ("raylet", "gcs_server")
ATTEMPTS = 2  # a busy machine may need longer than the 30 seconds that Ray waits for its own start
LOOK_SECONDS = 1.0


def start(**options: Any) -> None:
    """Start a Ray of one's own. Raises UserError when it does not start."""
    import ray

    for attempt in range(ATTEMPTS):
        try:
            ray.init(address="local", **options)
            return
        except Exception as error:  # noqa: BLE001 - that it timed out, Ray says by a bare Exception
            ray.shutdown()
            if attempt == ATTEMPTS - 1:
                line = " ".join(str(error).split())[:200]
                raise UserError(f"Ray cannot be started on this machine: {line}") from None


@contextlib.contextmanager
def watched(died: Callable[[str], None] | None = None) -> Iterator[None]:
    """Within it, the death of one of the NEEDED processes ends this one at once, with a line and exit code 2.

    Ray would end it too, seconds or a minute later, without a word of what to do. The study is as it was after the last
    whole operation, and its lock is the kernel's: nothing is left to put in order.
    """
    from ray._private import worker

    node = worker._global_node
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            dead = [kind for kind, _ in node.dead_processes() if kind in NEEDED]
            if dead and not over.is_set():
                (died or _leave)(dead[0])
                return

    thread = threading.Thread(target=look, name="ray parts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _leave(kind: str) -> None:
    cursor = "\x1b[?25h\n" if sys.stderr.isatty() else ""  # a live table hides it
    sys.stdout.flush()
    print(
        f"{cursor}error: Ray's own process {kind} has died (out of memory, or killed); the same command goes on",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)
