"""The Ray Serve application: one deployment answers HTTP, the other runs the model and the jobs.

`build` is the import path in serve/config.yaml (for `serve run` and `serve deploy`); `python -m serve.run` calls it too.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from ray import serve as ray_serve
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

from serve.deployment.gpus import hide_gpus_of_others
from serve.deployment.loopback import keep_to_loopback
from serve.deployment.settings import Settings, parsed
from serve.jobs.options import Options
from serve.storage.opening import open_database

# how much later than the HTTP processes the replica's work gets a CPU: a busy network delays no answer of theirs
NICENESS = 10
# or each request would write a line into a file, from the event loop
LOGGING = {"enable_access_log": False}
ABOUT_SECONDS = 5.0  # without an answer for this long, the replicas are not ready


# the name is in the title of its processes
@ray_serve.deployment(
    name="Detector", max_ongoing_requests=200, health_check_period_s=5, graceful_shutdown_timeout_s=10,
    logging_config=LOGGING,
)  # fmt: skip
class ReplicaDeployment:
    """A Replica: image requests come through Serve's handle, jobs from the shared database."""

    def __init__(self, settings: dict[str, Any]) -> None:
        # imported here, so that Serve's controller does not load the runtimes
        from serve.deployment.replica import Replica

        keep_to_loopback()
        hide_gpus_of_others()
        os.nice(NICENESS)  # of this thread, and so of all that it starts
        self._jobs_at_once = settings["jobs_at_once"]
        self._replica = Replica(Settings.model_validate(settings))

    async def find(
        self, images: Sequence[bytes], model_id: str, options: dict[str, Any], verb: str
    ) -> dict[str, Any]:
        """See serve.deployment.replica.Replica."""
        return await self._replica.find(images, model_id, Options.model_validate(options), verb)

    async def about(self) -> dict[str, Any]:
        """See serve.deployment.replica.Replica."""
        return self._replica.about()

    async def check_health(self) -> None:
        """Ray Serve calls it regularly, and replaces the replica when it raises."""
        await asyncio.to_thread(self._replica.check_network)

    def __del__(self) -> None:
        replica = getattr(self, "_replica", None)
        if replica is not None:
            replica.close()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Unfinished jobs, and how many one replica takes, for serve.deployment.autoscaling."""
        jobs = await asyncio.to_thread(self._replica.jobs)
        return {"jobs": float(jobs), "jobs_at_once": float(self._jobs_at_once)}


class ReplicaHandle:
    """serve.api.app.ReplicaClient through a Serve handle."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def find(
        self, images: Sequence[bytes], model_id: str, options: Options, verb: str
    ) -> dict[str, Any]:
        """Raises the replica's exception."""
        from ray.exceptions import RayTaskError

        try:
            return dict(await self._handle.find.remote(images, model_id, options.model_dump(), verb))
        except RayTaskError as error:  # unwrap it: the API answers with the status of a Refused
            raise error.cause if isinstance(error.cause, Exception) else error from None

    async def about(self) -> dict[str, Any]:
        """Raises TimeoutError when no replica answers."""
        return dict(await asyncio.wait_for(self._handle.about.remote(), ABOUT_SECONDS))


class IngressApp:
    """The ASGI application given to `ray_serve.ingress` at import; forwards to the one that ApiDeployment creates."""

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
    name="Api",
    max_ongoing_requests=1000,
    health_check_period_s=5,
    graceful_shutdown_timeout_s=5,
    ray_actor_options={"num_cpus": 0},
    logging_config=LOGGING,
)
@ray_serve.ingress(IngressApp())
class ApiDeployment:
    """The HTTP application. It reserves no CPU, so that the model gets all of them."""

    def __init__(self, settings: dict[str, Any], replicas: Any) -> None:
        from serve.api.app import create_app

        keep_to_loopback()
        self.application = create_app(Settings.model_validate(settings), ReplicaHandle(replicas))


def build(arguments: dict[str, Any]) -> Any:
    """The application for Ray Serve. Raises UserError for an invalid setting, or a folder that is not prepared.

    arguments: fields of Settings, in which $NAME stands for an environment variable, and: replicas: minimum (default 1);
    max_replicas: maximum for autoscaling (default: `replicas`); cpus, gpus: of each replica, fractions allowed (default
    1 and 0).
    """
    values = {
        name: os.path.expandvars(value) if isinstance(value, str) else value
        for name, value in arguments.items()
    }
    least = int(values.pop("replicas", 1))
    most = int(values.pop("max_replicas", least))
    actor = {"num_cpus": float(values.pop("cpus", 1)), "num_gpus": float(values.pop("gpus", 0))}
    given = parsed(**values)
    deployment = open_database(given).deployment
    settings = given.model_copy(update={"deployment": deployment}).model_dump(mode="json")
    scaling: dict[str, Any] = {"num_replicas": least}
    if most > least:
        policy = AutoscalingPolicy(policy_function="serve.deployment.autoscaling:replicas_for_jobs")
        scaling = {
            "num_replicas": None,
            "autoscaling_config": AutoscalingConfig(
                min_replicas=least, max_replicas=most, upscale_delay_s=5, downscale_delay_s=60, policy=policy
            ),
        }
    replicas = ReplicaDeployment.options(ray_actor_options=actor, **scaling).bind(settings)  # type: ignore[attr-defined]
    return ApiDeployment.bind(settings, replicas)  # type: ignore[attr-defined]
