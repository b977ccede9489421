"""Ray's own processes on this machine: starts them, and ends the driver with one line when one of them dies."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from trainers.errors import UserError

# processes without which no trial can run; Ray survives the death of the others
NEEDED = ("raylet", "gcs_server")
ATTEMPTS = 2  # on a busy machine Ray's start may take longer than its timeout of 30 seconds
LOOK_SECONDS = 1.0  # between checks


def start(**options: Any) -> None:
    """Start Ray on this machine, with `options` of ray.init; only this machine reaches it.

    Raises UserError when it does not start.
    """
    import ray

    for attempt in range(ATTEMPTS):
        try:
            with _on_loopback():
                ray.init(address="local", **options)
            return
        except Exception as error:  # noqa: BLE001 - Ray raises a bare Exception for a timeout
            stop()
            if attempt == ATTEMPTS - 1:
                line = " ".join(str(error).split())[:200]
                raise UserError(f"Ray cannot be started on this machine: {line}") from None


def stop() -> None:
    """Shut Ray down, or leave the cluster, with no garbage collected meanwhile.

    A thread that collects it may free a reference to one of Ray's objects while Ray's native part shuts down, and then
    Ray ends the whole process with exit code 1: a search that had succeeded would have failed.
    """
    import ray

    collecting = gc.isenabled()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Within the block, Ray starts its processes on the loopback interface alone, as it does on macOS and Windows.

    Otherwise they listen on all interfaces, also with `_node_ip_address="127.0.0.1"`, which Ray replaces by the address
    by which other machines reach this one. Its processes and workers inherit the environment variable.
    """
    from ray._private import ray_constants

    name, clusters = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    before = os.environ.get(name)
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextlib.contextmanager
def watched(died: Callable[[str], None] | None = None) -> Iterator[None]:
    """Within the block, the death of one of the NEEDED processes ends this process with one line and exit code 2.

    Ray would end it too, up to a minute later, without saying what to do. No clean-up is needed: the journal is written
    operation by operation, and the kernel releases the study's lock.
    died: is called with the name of the dead process, instead of ending this one.
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
    cursor = "\x1b[?25h\n" if sys.stderr.isatty() else ""  # the live table hides the cursor
    sys.stdout.flush()
    print(
        f"{cursor}error: Ray's own process {kind} has died (out of memory, or killed); run the same command to resume",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)
