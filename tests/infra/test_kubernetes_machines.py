"""On Kubernetes, machines and pods are as large and live as long as a search and serving need."""

from __future__ import annotations

from pathlib import Path

import pytest
from draining import drain_seconds
from kustomized import rendered
from pods import (
    amount,
    clusters,
    containers,
    environment,
    every_pod,
    named,
    requested,
)

INFRA = Path(__file__).parents[2] / "infra"


def test_an_autoscaler_is_allowed_in_the_namespace_and_has_the_token_that_it_reads(resources):
    scaling = [each for each in clusters(resources) if each.get("enableInTreeAutoscaling")]
    assert scaling
    for cluster in scaling:
        assert cluster["autoscalerOptions"]["securityContext"] == {
            "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        head = cluster["headGroupSpec"]["template"]["spec"]
        assert head["serviceAccountName"] == "ray"
        account = named(resources, "ServiceAccount")["ray"]
        token = account.get("automountServiceAccountToken", True)
        assert head.get("automountServiceAccountToken", token)


def test_no_container_asks_for_more_than_its_limit(resources):
    """As the API server checks it, after it has filled in the defaults of the LimitRange."""
    [defaults] = named(resources, "LimitRange")["detector-tuning"]["spec"]["limits"]
    wanted = [container["resources"] for spec in every_pod(resources) for container in containers(spec)]
    wanted += [
        cluster["autoscalerOptions"]["resources"]
        for cluster in clusters(resources)
        if "autoscalerOptions" in cluster
    ]
    for each in wanted:
        limits = defaults["default"] | each["limits"]
        requests = defaults["defaultRequest"] | each["limits"] | each["requests"]
        for name in requests.keys() & limits.keys():
            assert amount(requests[name]) <= amount(limits[name]), (name, each)


def test_a_laptops_cluster_has_room_for_all_that_kind_starts():
    """With one worker of the search, and a CPU and 1 GiB for Kubernetes and KubeRay."""
    found = rendered(INFRA / "kubernetes" / "overlays" / "kind")
    autoscalers = [each["autoscalerOptions"] for each in clusters(found) if "autoscalerOptions" in each]
    for name, system, room in (("cpu", "1", "8"), ("memory", "1Gi", "16G")):
        wanted = amount(system)
        wanted += sum(requested(spec, name) for spec in every_pod(found))
        wanted += sum(amount(each["resources"]["requests"][name]) for each in autoscalers)
        assert wanted <= amount(room), name


def test_workers_begin_at_none_and_the_quota_has_room_for_the_most(resources):
    quota = named(resources, "ResourceQuota")["detector-tuning"]["spec"]["hard"]
    group = named(resources, "RayJob")["search"]["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    assert (group["minReplicas"], group["replicas"]) == (0, 0)
    wanted = group["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert group["maxReplicas"] * int(wanted["cpu"]) < int(quota["requests.cpu"])
    gpus = int(wanted.get("nvidia.com/gpu", 0))
    assert group["maxReplicas"] * gpus <= int(quota["requests.nvidia.com/gpu"])


@pytest.mark.slow
def test_a_worker_ends_after_what_it_keeps_and_before_kubernetes_kills_it(resources):
    from tuning.execution.worker import KEEP_SECONDS

    for cluster, least in zip(clusters(resources), (KEEP_SECONDS, 30), strict=True):  # a search, serving
        for group in cluster.get("workerGroupSpecs", ()):
            spec = group["template"]["spec"]
            waited = drain_seconds(environment(spec["containers"][0], resources))
            assert least < waited < spec["terminationGracePeriodSeconds"]


def test_gpu_workers_are_spot_and_the_head_is_not():
    job = named(rendered(INFRA / "kubernetes" / "overlays" / "gpu-spot"), "RayJob")["search"]
    cluster = job["spec"]["rayClusterSpec"]
    worker, head = cluster["workerGroupSpecs"][0], cluster["headGroupSpec"]
    assert worker["template"]["spec"]["nodeSelector"] == {"karpenter.sh/capacity-type": "spot"}
    assert head["template"]["spec"]["nodeSelector"] == {"karpenter.sh/capacity-type": "on-demand"}
    container = worker["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["image"].endswith(":cuda")
