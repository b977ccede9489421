"""Draining: whether Ray, told by the autoscaler or the cloud, will soon take this machine away."""

from __future__ import annotations

import logging
import time

LOOK_SECONDS = 5.0


class Draining:
    """Asks Ray now and then. A spot machine has two minutes from its notice on; `ray drain-node` gives its own."""

    def __init__(self) -> None:
        self._not_before = 0.0

    def __call__(self) -> bool:
        """Whether this machine is about to go; False, with a warning in the worker's log, while Ray's head is away."""
        if time.monotonic() < self._not_before:
            return False
        self._not_before = time.monotonic() + LOOK_SECONDS
        import ray
        from ray._private.state import state  # Ray has no public call for it; its own ray.train uses this one

        try:
            draining = state.get_draining_nodes()
        except (
            ray.exceptions.RaySystemError
        ) as error:  # no connection to the head: asked again at the next look
            logging.getLogger(__name__).warning("whether this machine is about to go is unknown: %s", error)
            return False
        return ray.get_runtime_context().get_node_id() in draining
