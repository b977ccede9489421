"""On Kubernetes, the services of a cluster find each other, and the commands get what they ask for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from kustomized import rendered
from pods import (
    environment,
    named,
    served,
    submitted,
)

INFRA = Path(__file__).parents[2] / "infra"


def test_the_record_of_jobs_is_in_a_database_that_is_made(resources):
    made = named(resources, "ConfigMap")
    url = made["cluster"]["data"]["SERVING_DATABASE"]
    assert f"CREATE DATABASE {url.rpartition('/')[2]} " in made["databases"]["data"]["databases.sql"]
    assert served(resources)["applications"][0]["args"]["database"] == "$SERVING_DATABASE"


def test_serving_keeps_nothing_on_a_node(resources):
    """Neither do replicas on several nodes share a disk."""
    spec = named(resources, "RayService")["serving"]["spec"]["rayClusterConfig"]["headGroupSpec"]["template"][
        "spec"
    ]
    assert {"name": "data", "emptyDir": {"sizeLimit": "50Gi"}} in spec["volumes"]
    assert served(resources)["applications"][0]["args"]["files"] == "$SERVING_FILES"
    (prepare,) = spec["initContainers"]
    assert "--database $SERVING_DATABASE --files $SERVING_FILES" in prepare["command"][-1]
    assert named(resources, "ConfigMap")["cluster"]["data"]["SERVING_FILES"].startswith("s3://")


def test_replicas_on_several_nodes_have_what_the_head_has():
    found = rendered(INFRA / "kubernetes" / "overlays" / "serving-many")
    cluster = named(found, "RayService")["serving"]["spec"]["rayClusterConfig"]
    [group], head = cluster["workerGroupSpecs"], cluster["headGroupSpec"]["template"]["spec"]
    worker = group["template"]["spec"]
    mounts = {mount["mountPath"] for mount in worker["containers"][0]["volumeMounts"]}
    theirs = {mount["mountPath"] for mount in head["containers"][0]["volumeMounts"]}
    assert theirs - mounts == {"/run/secrets/serving"}  # the tokens, which only preparing needs
    args = served(found)["applications"][0]["args"]
    cpus = int(worker["containers"][0]["resources"]["requests"]["cpu"])
    assert args["max_replicas"] == 1 + group["maxReplicas"] * cpus // args["cpus"]


def test_each_node_that_kuberays_service_sends_requests_to_has_a_proxy():
    """Its probe of a worker asks the worker's own proxy; without a proxy there it would never be ready."""
    found = rendered(INFRA / "kubernetes" / "overlays" / "serving-many")
    [group] = named(found, "RayService")["serving"]["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    [container] = group["template"]["spec"]["containers"]
    config = served(found)
    assert config["proxy_location"] == "EveryNode"
    assert "readinessProbe" not in container
    assert {"name": "serve", "containerPort": config["http_options"]["port"]} in container["ports"]


@pytest.mark.slow
def test_mlflow_keeps_artifacts_where_the_cluster_has_its_object_store(resources, tmp_path, monkeypatch):
    from mlflow.store.artifact.s3_artifact_repo import _cached_get_s3_client, _get_s3_client

    [container] = named(resources, "Deployment")["mlflow"]["spec"]["template"]["spec"]["containers"]
    given = environment(container, resources)
    (tmp_path / "mlflow").write_text("#!/bin/sh\nenv\n")
    (tmp_path / "mlflow").chmod(0o755)
    variables = given | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(container["command"], env=variables, capture_output=True, text=True, check=True)
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines())
    for name in [name for name in os.environ if name.startswith("AWS_") or "S3" in name]:
        monkeypatch.delenv(name)
    for name, value in seen.items():
        monkeypatch.setenv(name, value)
    _cached_get_s3_client.cache_clear()
    url = _get_s3_client().meta.endpoint_url
    _cached_get_s3_client.cache_clear()
    assert url == given.get("AWS_ENDPOINT_URL", "https://s3.amazonaws.com")  # of us-east-1


def test_boto3_has_the_region_of_the_cluster(resources, monkeypatch):
    import boto3

    given = named(resources, "ConfigMap")["cluster"]["data"]
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    assert boto3.session.Session().region_name == given["AWS_REGION"]


def test_the_submitter_may_talk_to_the_head(resources):
    template = named(resources, "RayJob")["search"]["spec"]["submitterPodTemplate"]
    policy = named(resources, "NetworkPolicy")["ray"]["spec"]
    labels = template.get("metadata", {}).get("labels", {})
    for selector in (policy["podSelector"], policy["ingress"][0]["from"][0]["podSelector"]):
        assert selector["matchLabels"].items() <= labels.items()


@pytest.mark.slow
def test_the_searches_and_the_served_study_are_wanted_as_the_commands_understand_them(resources):
    from tuning.run import parser

    words = submitted(resources)
    assert words[:3] == ["python", "-m", "tuning.run"]
    read = parser().parse_args(words[3:])
    values = named(resources, "ConfigMap")["cluster"]["data"]
    assert words[words.index("--studies-dir") + 1] == values["STUDIES_DIR"]
    assert (read.address, read.storage, read.tracking_uri) == (
        "auto",
        values["STORAGE"],
        values["TRACKING_URI"],
    )

    from ray.serve.schema import ServeDeploySchema

    from serve.deployment.settings import Settings

    config = served(resources)
    ServeDeploySchema.model_validate(config)
    given = config["applications"][0]["args"]
    assert set(given) - {"replicas", "max_replicas", "cpus", "gpus"} <= set(Settings.model_fields)
