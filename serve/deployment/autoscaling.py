"""How many replicas there should be: as the queue of jobs asks for, and more when image requests pile up.

Ray Serve imports it into its controller; it knows nothing of this package.
"""

from __future__ import annotations

import math
from typing import Any

BUSY = 50  # image requests at once, on each replica, that call for one more


def replicas_for_jobs(context: Any) -> tuple[int, dict[str, Any]]:
    """An autoscaling policy (ray.serve.config.AutoscalingPolicy): so many replicas that every job has its place.

    context: its `aggregated_metrics` are what Detector.record_autoscaling_stats reports, by name and replica.
    """
    metrics = context.aggregated_metrics or {}
    # every replica reports on the same record
    jobs = max(metrics.get("jobs", {}).values(), default=0.0)
    each = max(metrics.get("jobs_at_once", {}).values(), default=1.0)
    wanted = math.ceil(jobs / each)
    if context.total_num_requests > BUSY * max(context.current_num_replicas, 1):
        wanted = max(wanted, context.current_num_replicas + 1)
    return max(
        context.capacity_adjusted_min_replicas, min(context.capacity_adjusted_max_replicas, wanted)
    ), {}
