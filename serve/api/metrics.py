"""/metrics: the deployment's counters and its queue, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serve.deployment.counters import Counters
from serve.jobs.job import STATES
from serve.jobs.store import JobStore

# name of a counter -> name for Prometheus, what it says
COUNTERS = {
    "frames": ("serve_frames", "video frames processed; its rate is frames a second"),
    "images": ("serve_network_images", "images that the network looked at"),
    "objects": ("serve_objects", "detections at the model's own threshold"),
    "errors": ("serve_network_errors", "images on which the network failed"),
    "batches": ("serve_batches", "network calls by batch size"),
    "stage_seconds": ("serve_stage_seconds", "seconds that each stage has worked"),
    "jobs_ended": ("serve_jobs_ended", "jobs by how they ended"),
    "errors_unexpected": ("serve_unexpected_errors", "errors that are this program's own"),
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
        yield GaugeMetricFamily("serve_queue_age_seconds", "how long the oldest queued job has waited", age)
        yield GaugeMetricFamily("serve_queue_jobs", "jobs that wait", count)
        jobs = GaugeMetricFamily("serve_jobs", "jobs in the record by state", labels=["state"])
        counts = self._store.counts()
        for state in STATES:
            jobs.add_metric([state], counts.get(state, 0))
        yield jobs
        running = [job for job in self._store.listed("running") if job.frames_per_second]
        speed = sum(job.frames_per_second or 0.0 for job in running)
        yield GaugeMetricFamily("serve_frames_per_second", "of all running jobs together", speed)


def text(counters: Counters, store: JobStore) -> bytes:
    """The whole page."""
    registry = CollectorRegistry()
    registry.register(_Collector(counters, store))
    return generate_latest(registry)
