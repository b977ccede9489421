"""/metrics follows Prometheus' conventions: its own parsers read it, and promtool finds nothing to say."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from serve.deployment.database import Database
from serve.jobs.store import JobStore
from serve.metrics.counters import Counters
from serve.metrics.exposition import body
from serve.metrics.families import COUNTERS, HISTOGRAMS
from serve.metrics.histogram import Histogram
from serve.storage.job_files import JobFiles

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
BUCKETS = HISTOGRAMS["stage_seconds"].bounds


@pytest.fixture
def deployment(tmp_path):
    """A deployment that has counted everything there is to count."""
    database = Database(tmp_path, create=True)
    counters = Counters(database)
    for name in COUNTERS:
        counters.add(name, 3, kind="a")
    for name in HISTOGRAMS:
        for value in (0.003, 0.4, 1e6):
            counters.observe(name, value, stage="draw")
    counters.flush()
    return counters, JobStore(database, JobFiles(tmp_path / "jobs"))


def samples(text, parse=plain):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(text.decode())
        for sample in family.samples
    }


def test_both_formats_are_read_by_prometheus_own_parsers(deployment):
    text, kind = body(*deployment, "")
    assert kind.startswith("text/plain")
    open_text, open_kind = body(*deployment, OPENMETRICS)
    assert open_kind.startswith("application/openmetrics-text")
    found = samples(text)
    assert found == samples(open_text, openmetrics)
    for family in COUNTERS.values():
        assert found[family.name + "_total", ("kind", "a")] == 3


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed; it comes with Prometheus"
)
def test_promtool_finds_nothing_to_say(deployment):
    text, _ = body(*deployment, "")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_a_histogram_has_cumulative_buckets_a_sum_and_a_count(deployment):
    found = samples(body(*deployment, "")[0])
    name, stage = HISTOGRAMS["stage_seconds"].name, ("stage", "draw")
    buckets = {float(key[1][1]): value for key, value in found.items() if key[0] == f"{name}_bucket"}
    assert buckets == {bound: (bound >= 0.003) + (bound >= 0.4) for bound in BUCKETS} | {float("inf"): 3}
    assert found[f"{name}_count", stage] == 3
    assert found[f"{name}_sum", stage] == pytest.approx(1e6 + 0.403)


def test_observations_of_several_processes_add_up(tmp_path):
    database = Database(tmp_path, create=True)
    seen = Histogram(BUCKETS)
    seen.observe(0.1)
    one, other = Counters(database), Counters(database)
    one.add_histogram("stage_seconds", seen, stage="draw")
    other.observe("stage_seconds", 0.2, stage="draw")
    for counters in (one, other):
        counters.flush()
    found = samples(body(one, JobStore(database, JobFiles(tmp_path / "jobs")), "")[0])
    assert found["serve_stage_duration_seconds_count", ("stage", "draw")] == 2
    assert found["serve_stage_duration_seconds_sum", ("stage", "draw")] == pytest.approx(0.3)


def test_counts_that_the_database_did_not_take_are_written_with_the_next_ones(tmp_path):
    database = Database(tmp_path, create=True)
    counters = Counters(database)
    counters.add("frames", 3)
    with database.transaction() as db:
        db.execute("ALTER TABLE counters RENAME TO away")
    with pytest.raises(sqlite3.Error):
        counters.flush()
    with database.transaction() as db:
        db.execute("ALTER TABLE away RENAME TO counters")
    counters.add("frames", 2)
    counters.flush()
    assert list(counters.all()) == [("frames", {}, 5.0)]


def test_a_bound_belongs_to_its_bucket_and_differences_are_counted_once():
    seen = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 2.0, 3.0):
        seen.observe(value)
    assert seen.counts == [1, 2, 1]
    before = seen.since(None)
    seen.observe(0.5)
    assert seen.since(before).counts == [1, 0, 0]
    assert seen.since(before).sum == 0.5
    assert seen.since(None).counts == [2, 2, 1]
