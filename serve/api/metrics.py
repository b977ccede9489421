"""/metrics: counters and queue of the deployment in Prometheus text format."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serve.deployment.counters import Counters
from serve.jobs.job import STATES
from serve.jobs.store import JobStore

# name of a counter -> Prometheus name, help text
COUNTERS = {
    "frames": ("serve_frames", "video frames processed"),
    "images": ("serve_network_images", "images processed by the network"),
    "objects": ("serve_objects", "detections above the model's own threshold"),
    "errors": ("serve_network_errors", "images on which the network failed"),
    "batches": ("serve_batches", "network calls by batch size"),
    "stage_seconds": ("serve_stage_seconds", "seconds of work by stage"),
    "jobs_ended": ("serve_jobs_ended", "ended jobs by state"),
    "job_faults": ("serve_job_faults", "tries of jobs that ended by a fault of the server, by type"),
    "requests": ("serve_http_requests", "requests by method, route and status"),
    "request_seconds": ("serve_http_request_seconds", "seconds until the response began"),
}


class _Collector(Collector):
    def __init__(self, counters: Counters, store: JobStore) -> None:
        self._counters, self._store = counters, store

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily] = {}
        for name, labels, value in self._counters.all():
            if name not in COUNTERS:
                continue
            if name not in families:
                families[name] = CounterMetricFamily(*COUNTERS[name], labels=sorted(labels))
            families[name].add_metric([labels[key] for key in sorted(labels)], value)
        yield from families.values()
        count, age = self._store.waiting()
        yield GaugeMetricFamily("serve_queue_age_seconds", "age of the oldest queued job in seconds", age)
        yield GaugeMetricFamily("serve_queue_jobs", "queued jobs", count)
        jobs = GaugeMetricFamily("serve_jobs", "stored jobs by state", labels=["state"])
        counts = self._store.counts()
        for state in STATES:
            jobs.add_metric([state], counts.get(state, 0))
        yield jobs
        running = [job for job in self._store.list_jobs("running") if job.frames_per_second]
        speed = sum(job.frames_per_second or 0.0 for job in running)
        yield GaugeMetricFamily("serve_frames_per_second", "frames per second, sum over running jobs", speed)


def text(counters: Counters, store: JobStore) -> bytes:
    """The response body."""
    registry = CollectorRegistry()
    registry.register(_Collector(counters, store))
    return generate_latest(registry)
