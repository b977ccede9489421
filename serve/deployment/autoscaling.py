"""Autoscaling: the number of replicas for the present queue of jobs and image requests.

Ray Serve imports this module into its controller, so it imports nothing of serve.
"""

from __future__ import annotations

import math
from typing import Any

BUSY_REQUESTS = 50  # concurrent image requests per replica above which one more is added


def replicas_for_jobs(context: Any) -> tuple[int, dict[str, Any]]:
    """An autoscaling policy (ray.serve.config.AutoscalingPolicy): enough replicas to run all jobs at the same time.

    context: its `aggregated_metrics` are reported by ReplicaDeployment.record_autoscaling_stats, by name and replica.
    """
    metrics = context.aggregated_metrics or {}
    # every replica reports the same number, from the shared database
    jobs = max(metrics.get("jobs", {}).values(), default=0.0)
    each = max(metrics.get("jobs_at_once", {}).values(), default=1.0)
    wanted = math.ceil(jobs / each)
    if context.total_num_requests > BUSY_REQUESTS * max(context.current_num_replicas, 1):
        wanted = max(wanted, context.current_num_replicas + 1)
    return max(
        context.capacity_adjusted_min_replicas, min(context.capacity_adjusted_max_replicas, wanted)
    ), {}
