"""Alert rules do what their tests say, and each query asks for metrics that Ray, a search or a deployment exports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from serve.deployment.database import Database
from serve.jobs.store import JobStore
from serve.metrics.counters import Counters
from serve.metrics.exposition import body
from serve.metrics.families import COUNTERS, HISTOGRAMS
from serve.storage.job_files import JobFiles
from tuning.callbacks.metrics import GAUGES

INFRA = Path(__file__).parents[2] / "infra"
MONITORING = INFRA / "monitoring"
ALERTS = [
    rule for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]  # fmt: skip
BOARDS = ("search", "serving")


def panels(name: str) -> list[dict]:
    return json.loads((MONITORING / "grafana" / f"{name}.json").read_text())["panels"]


def queries() -> list[str]:
    asked = [t["expr"] for name in BOARDS for panel in panels(name) for t in panel["targets"]]
    return [*asked, *(rule["expr"] for rule in ALERTS)]


def metrics(query: str) -> set[str]:
    """The names of metrics in a query."""
    without = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(?:by|on|group_left) *\([^)]*\)", " ", query)
    words = set(re.findall(r"\b[a-z_][a-z0-9_]*\b(?! *\()", without))
    return words - {"and", "or", "on", "by", "group_left"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> set[str]:
    """What a deployment that has counted everything exports, what Ray's nodes do, and the gauges of a search."""
    from prometheus_client.parser import text_string_to_metric_families
    from ray.dashboard.modules.reporter import reporter_agent

    folder = tmp_path_factory.mktemp("serving")
    database = Database(folder, create=True)
    counters = Counters(database)
    for name in COUNTERS:
        counters.add(name)
    for name in HISTOGRAMS:
        counters.observe(name, 0.1)
    counters.flush()
    text = body(counters, JobStore(database, JobFiles(folder / "jobs")), "")[0].decode()
    served = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    return served | {f"ray_{name}" for name in (*GAUGES, *reporter_agent.METRICS_GAUGES)} | {"up"}


def test_each_query_asks_for_metrics_that_are_exported(exported):
    asked = {name for query in queries() for name in metrics(query)}
    assert {"ray_tuning_trials", "serve_queue_age_seconds", "ray_node_gpus_utilization"} <= asked
    assert asked <= exported, asked - exported


def test_each_gauge_of_a_search_is_on_its_dashboard():
    asked = {name for panel in panels("search") for t in panel["targets"] for name in metrics(t["expr"])}
    assert {f"ray_{name}" for name in GAUGES} <= asked


@pytest.mark.parametrize("name", BOARDS)
def test_panels_do_not_overlap_and_are_titled(name):
    found = panels(name)
    assert len({panel["id"] for panel in found}) == len({panel["title"] for panel in found}) == len(found)
    taken: set[tuple[int, int]] = set()
    for panel in found:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells


PROMTOOL = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed; it comes with Prometheus"
)


@PROMTOOL
@pytest.mark.parametrize(
    "command",
    ["check rules alerts.yaml", "test rules alerts_test.yaml", "check config --syntax-only prometheus.yaml"],
)
def test_promtool_finds_nothing_wrong(command):
    done = subprocess.run(
        ["promtool", *command.split()], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@PROMTOOL
def test_every_query_of_a_dashboard_is_promql(tmp_path):
    rules = [{"record": f"query_{n}", "expr": q.replace("$study", "s")} for n, q in enumerate(queries())]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    line = ["promtool", "check", "rules", "--lint=none", str(tmp_path / "queries.yaml")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test():
    tests = yaml.safe_load((MONITORING / "alerts_test.yaml").read_text())["tests"]
    tried = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert tried == {rule["alert"] for rule in ALERTS}
