"""Autoscaling: the number of replicas follows the queue."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from serve.deployment.autoscaling import replicas_for_jobs
from serve.deployment.database import Database
from trainers.errors import UserError


@pytest.mark.parametrize(
    ("jobs", "requests", "running", "wanted"),
    [(0, 0, 1, 1), (2, 0, 1, 1), (3, 0, 1, 2), (100, 0, 1, 4), (0, 200, 2, 3), (0, 10, 2, 1)],
)
def test_there_are_enough_replicas_for_all_jobs_within_the_bounds(jobs, requests, running, wanted):
    context = SimpleNamespace(
        aggregated_metrics={"jobs": {"a": jobs, "b": jobs}, "jobs_at_once": {"a": 2, "b": 2}},
        total_num_requests=requests,
        current_num_replicas=running,
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=4,
    )
    assert replicas_for_jobs(context)[0] == wanted


def test_the_serve_config_file_builds_the_application(tmp_path, monkeypatch):
    from serve import deployment

    config = yaml.safe_load((Path(__file__).parents[3] / "serve" / "config.yaml").read_text())
    (application,) = config["applications"]
    module, _, name = application["import_path"].partition(":")
    assert module == deployment.__name__
    monkeypatch.setenv("SERVING_DATA", str(tmp_path))
    arguments = application["args"] | {"data": "$SERVING_DATA"}
    with pytest.raises(UserError, match="not prepared"):
        getattr(deployment, name)(arguments)
    Database(tmp_path, create=True)
    assert getattr(deployment, name)(arguments) is not None


def test_no_request_writes_a_line_into_ray_serves_log_from_the_event_loop():
    from serve.deployment.application import ApiDeployment, ReplicaDeployment

    for each in (ApiDeployment, ReplicaDeployment):
        assert each.options(num_replicas=2)._deployment_config.logging_config["enable_access_log"] is False
