"""The metrics of a deployment by the name that the code counts under: their Prometheus name, help text and buckets.

Names follow Prometheus' conventions: a prefix, base units, and `_total` for counters, which the format adds.
"""

from __future__ import annotations

from typing import NamedTuple

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
JOB_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0)


class Family(NamedTuple):
    """A metric. bounds: of a histogram's buckets, seconds; empty for a counter."""

    name: str
    help: str
    bounds: tuple[float, ...] = ()


COUNTERS = {
    "frames": Family("serve_frames", "video frames processed"),
    "images": Family("serve_network_images", "images processed by the network"),
    "objects": Family("serve_objects", "detections above the model's own threshold"),
    "errors": Family("serve_network_errors", "images on which the network failed"),
    "batches": Family("serve_batches", "network calls by batch size"),
    "jobs_ended": Family("serve_jobs_ended", "ended jobs by state"),
    "job_faults": Family("serve_job_faults", "tries of jobs that ended by a fault of the server, by type"),
    "webhooks": Family("serve_webhooks", "tries to send a message, by outcome"),
    "requests": Family("serve_http_requests", "requests by method, route and status"),
}
HISTOGRAMS = {
    "request_seconds": Family(
        "serve_http_request_duration_seconds", "time until a response began", REQUEST_SECONDS
    ),
    "job_queue_seconds": Family(
        "serve_job_queue_duration_seconds", "time from a job's submission to its first start", JOB_SECONDS
    ),
    "job_seconds": Family(
        "serve_job_duration_seconds", "time from a job's first start to its end, by state", JOB_SECONDS
    ),
    "stage_seconds": Family(
        "serve_stage_duration_seconds", "work on a frame, or a batch in the network, by stage", STAGE_SECONDS
    ),
    "image_queue_seconds": Family(
        "serve_network_queue_duration_seconds", "time that an image waited for the network", STAGE_SECONDS
    ),
}
