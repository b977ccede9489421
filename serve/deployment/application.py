"""The application on Ray Serve: one deployment answers HTTP, one holds the network and runs jobs.

`build` is what `serve run` and `serve deploy` import (serve/config.yaml); `python -m serve.run` uses it too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ray import serve as ray_serve
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

from serve.deployment.settings import Settings, parsed
from serve.jobs.options import Options

ANSWER_SECONDS = 5.0  # a replica that says nothing for so long is not ready


@ray_serve.deployment(max_ongoing_requests=200, health_check_period_s=5, graceful_shutdown_timeout_s=10)
class Detector:
    """A Replica: image requests come by Serve's handle, jobs from the shared record."""

    def __init__(self, settings: dict[str, Any]) -> None:
        # the runtimes are imported where they are needed, not by the controller
        from serve.deployment.replica import Replica

        self._jobs_at_once = settings["jobs_at_once"]
        self._replica = Replica(Settings.model_validate(settings))

    async def detect(self, images: Sequence[bytes], model_id: str, options: dict[str, Any]) -> dict[str, Any]:
        """See serve.deployment.replica.Replica."""
        return await self._replica.detect(images, model_id, Options.model_validate(options))

    async def about(self) -> dict[str, Any]:
        """Likewise."""
        return self._replica.about()

    def __del__(self) -> None:
        replica = getattr(self, "_replica", None)
        if replica is not None:
            replica.close()

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Jobs that wait or run, and how many one replica takes, for serve.deployment.autoscaling."""
        return {"jobs": float(self._replica.jobs()), "jobs_at_once": float(self._jobs_at_once)}


class Handle:
    """serve.api.app.Detecting, by way of a Serve handle."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def detect(self, images: Sequence[bytes], model_id: str, options: Options) -> dict[str, Any]:
        """Raises what the replica raised."""
        from ray.exceptions import RayTaskError

        try:
            return dict(await self._handle.detect.remote(images, model_id, options.model_dump()))
        except RayTaskError as error:  # Ray wraps what was raised; a Refused is what the client is to see
            raise error.cause if isinstance(error.cause, Exception) else error from None

    async def about(self) -> dict[str, Any]:
        """Raises TimeoutError when no replica answers."""
        return dict(await asyncio.wait_for(self._handle.about.remote(), ANSWER_SECONDS))


class Door:
    """The ASGI application that Serve imports; the real one is the replica's own, over the settings it was given."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await ray_serve.get_replica_context().servable_object.application(scope, receive, send)


@ray_serve.deployment(
    max_ongoing_requests=1000,
    health_check_period_s=5,
    graceful_shutdown_timeout_s=5,
    ray_actor_options={"num_cpus": 0},
)
@ray_serve.ingress(Door())
class Api:
    """The HTTP application; it needs no CPU of its own beside the network's."""

    def __init__(self, settings: dict[str, Any], detector: Any) -> None:
        from serve.api.app import create_app

        self.application = create_app(Settings.model_validate(settings), Handle(detector))


def build(arguments: dict[str, Any]) -> Any:
    """The application. arguments: fields of Settings, and of the deployment:

    replicas: at least so many (1); max_replicas: autoscaling goes up to it (replicas); cpus, gpus: of each replica,
    fractions too (1, 0).
    """
    values = dict(arguments)
    least = int(values.pop("replicas", 1))
    most = int(values.pop("max_replicas", least))
    actor = {"num_cpus": float(values.pop("cpus", 1)), "num_gpus": float(values.pop("gpus", 0))}
    settings = parsed(**values).model_dump(mode="json")
    scaling: dict[str, Any] = {"num_replicas": least}
    if most > least:
        policy = AutoscalingPolicy(policy_function="serve.deployment.autoscaling:replicas_for_jobs")
        scaling = {
            "num_replicas": None,
            "autoscaling_config": AutoscalingConfig(
                min_replicas=least, max_replicas=most, upscale_delay_s=5, downscale_delay_s=60, policy=policy
            ),
        }
    detector = Detector.options(ray_actor_options=actor, **scaling).bind(settings)  # type: ignore[attr-defined]
    return Api.bind(settings, detector)  # type: ignore[attr-defined]
