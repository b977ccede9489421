"""/metrics: counters, histograms and queue of the deployment, in Prometheus' text format or OpenMetrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from serve.jobs.job import STATES
from serve.jobs.store import JobStore
from serve.metrics.counters import ABOVE_ALL, BUCKET, SUM, Counters
from serve.metrics.families import COUNTERS, HISTOGRAMS, Family

Labels = tuple[tuple[str, str], ...]


class _Collector(Collector):
    def __init__(self, counters: Counters, store: JobStore) -> None:
        self._counters, self._store = counters, store

    def collect(self) -> Iterator[Metric]:
        found: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for name, labels, value in self._counters.all():
            found[name].append((labels, value))
        for name, family in COUNTERS.items():
            if name in found:
                yield _counter(family, found[name])
        for name, family in HISTOGRAMS.items():
            if name + BUCKET in found:
                yield _histogram(family, found[name + BUCKET], found[name + SUM])
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


def _counter(family: Family, rows: list[tuple[dict[str, str], float]]) -> Metric:
    names = sorted(rows[0][0])
    result = CounterMetricFamily(family.name, family.help, labels=names)
    for labels, value in rows:
        result.add_metric([labels[name] for name in names], value)
    return result


def _histogram(
    family: Family, buckets: list[tuple[dict[str, str], float]], sums: list[tuple[dict[str, str], float]]
) -> Metric:
    names = sorted(set(buckets[0][0]) - {"le"})
    result = HistogramMetricFamily(family.name, family.help, labels=names)
    counts: dict[Labels, dict[str, float]] = defaultdict(dict)
    for labels, value in buckets:
        counts[_key(labels)][labels["le"]] = value
    totals = {_key(labels): value for labels, value in sums}
    for key, stored in counts.items():
        # an earlier version may have stored other bounds
        cumulative = [
            (_le(bound), sum(n for le, n in stored.items() if float(le) <= bound)) for bound in family.bounds
        ]
        cumulative.append((ABOVE_ALL, sum(stored.values())))
        result.add_metric([value for _, value in key], cumulative, totals.get(key, 0.0))
    return result


def _le(bound: float) -> str:
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]


def _key(labels: dict[str, str]) -> Labels:
    return tuple(sorted((name, value) for name, value in labels.items() if name != "le"))


def body(counters: Counters, store: JobStore, accept: str) -> tuple[bytes, str]:
    """The response body in the format that the request's header Accept asks for, and its media type."""
    registry = CollectorRegistry()
    registry.register(_Collector(counters, store))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type
