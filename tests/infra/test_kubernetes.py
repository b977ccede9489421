"""The Kubernetes files fit the schemas of Kubernetes and of KubeRay, and what they refer to is there."""

from __future__ import annotations

import base64
import json
import os
import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from draining import drain_seconds
from kustomized import Resource, rendered

INFRA = Path(__file__).parents[2] / "infra"
VERSION = "1.37"  # of Kubernetes
OVERLAYS = ("kind", "gpu-spot", "serving-many")
KUBERAY = json.loads((Path(__file__).parent / "schemas" / "kuberay.json").read_text())


@pytest.fixture(scope="module", params=OVERLAYS)
def resources(request) -> list[Resource]:
    return rendered(INFRA / "kubernetes" / "overlays" / request.param)


@pytest.fixture(scope="module")
def secrets() -> dict[str, set[str]]:
    made = json.loads(runpy.run_path(str(INFRA / "make_secrets.py"))["manifests"]())
    for each in made["items"]:
        kubernetes_validate.validate(each, VERSION, strict=True)
        assert all(base64.b64decode(value) for value in each["data"].values())
    return {each["metadata"]["name"]: set(each["data"]) for each in made["items"]}


def pod_specs(node: Any) -> Iterator[Resource]:
    """Every specification of pods in a resource."""
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        else:
            for value in node.values():
                yield from pod_specs(value)
    elif isinstance(node, list):
        for value in node:
            yield from pod_specs(value)


def containers(spec: Resource) -> list[Resource]:
    return [*spec["containers"], *spec.get("initContainers", ())]


def clusters(resources: list[Resource]) -> list[Resource]:
    """The Ray clusters of searches and of serving."""
    found = [*named(resources, "RayJob").values(), *named(resources, "RayService").values()]
    return [each["spec"].get("rayClusterSpec") or each["spec"]["rayClusterConfig"] for each in found]


def every_pod(resources: list[Resource]) -> list[Resource]:
    found = [spec for resource in resources for spec in pod_specs(resource)]
    assert len(found) >= 6
    return found


def named(resources: list[Resource], kind: str) -> dict[str, Resource]:
    return {each["metadata"]["name"]: each for each in resources if each["kind"] == kind}


def amount(text: str) -> float:
    """Of CPUs, or of bytes."""
    number, unit = re.fullmatch(r"([\d.]+)(m|[KMGT]i?)?", text).groups()
    units = {None: 1, "m": 1e-3}
    units |= {name: 1000**n for n, name in enumerate("KMGT", 1)}
    units |= {f"{name}i": 1024**n for n, name in enumerate("KMGT", 1)}
    return float(number) * units[unit]


def validate(resource: Resource) -> None:
    if resource["kind"] in KUBERAY:
        jsonschema.validate(resource, KUBERAY[resource["kind"]])
    else:
        kubernetes_validate.validate(resource, VERSION, strict=True)


@pytest.mark.slow
def test_every_resource_fits_its_schema(resources):
    for resource in resources:
        validate(resource)
    for spec in every_pod(resources):
        validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec})


@pytest.mark.slow
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_takes_tls_between_rays_processes(overlay, tmp_path):
    kubernetes = INFRA / "kubernetes"
    parts = {
        "resources": [str(kubernetes / "overlays" / overlay)],
        "components": [str(kubernetes / "components" / "tls")],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(parts))
    clusters = [
        each["spec"].get("rayClusterSpec", each["spec"].get("rayClusterConfig"))
        for each in rendered(tmp_path)
        if each["kind"] in ("RayJob", "RayService") and validate(each) is None
    ]
    assert [cluster["tlsOptions"] for cluster in clusters] == [{"enabled": True}] * 2


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {prots: []}", "prots"),
        ("kind: RayJob\nspec: {entrypiont: a}", "entrypiont"),
    ],
)
def test_the_check_finds_a_wrong_name(wrong, name):
    with pytest.raises(Exception, match=name):
        validate(yaml.safe_load(wrong))


def test_every_name_that_is_referred_to_exists(resources, secrets):
    maps, claims = named(resources, "ConfigMap"), set(named(resources, "PersistentVolumeClaim"))
    accounts, priorities = set(named(resources, "ServiceAccount")), set(named(resources, "PriorityClass"))
    for spec in every_pod(resources):
        assert spec.get("serviceAccountName", "ray") in accounts
        assert spec.get("priorityClassName", "detector-serving") in priorities
        volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
        for volume in volumes.values():
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
        for container in containers(spec):
            assert {source["configMapRef"]["name"] for source in container.get("envFrom", ())} <= set(maps)
            for mount in container.get("volumeMounts", ()):
                assert mount["name"] in volumes or mount["name"] == "data"  # of a volumeClaimTemplate
    for cluster in clusters(resources):
        assert cluster["authOptions"] == {"mode": "token", "secretName": "ray-token"}
        assert "auth_token" in secrets["ray-token"]


def test_every_file_of_a_secret_that_is_read_exists(resources, secrets):
    read = set(re.findall(r"/run/secrets/([\w-]+)/([\w.-]+)", json.dumps(resources)))
    assert len(read) >= 5
    assert read <= {(name, file) for name, files in secrets.items() for file in files}


def test_pods_run_without_rights(resources):
    for spec in every_pod(resources):
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(spec):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert {"requests", "limits"} <= set(container["resources"])


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


def requested(spec: Resource, name: str) -> float:
    """By a pod: containers that prepare it have ended when its others start."""
    alone, together = (
        [amount(each["resources"]["requests"][name]) for each in spec.get(kind, ())]
        for kind in ("initContainers", "containers")
    )
    return max(sum(together), *alone, 0)


def test_long_running_pods_have_probes_and_images_have_versions(resources):
    for kind in ("StatefulSet", "Deployment"):
        for each in named(resources, kind).values():
            for container in each["spec"]["template"]["spec"]["containers"]:
                assert {"readinessProbe", "livenessProbe"} <= set(container)
    for spec in every_pod(resources):
        for container in containers(spec):
            tag = container["image"].rpartition(":")[2]
            assert tag not in ("", "latest")
            assert "/" not in tag


def test_a_policy_denies_what_no_other_allows(resources):
    policies = named(resources, "NetworkPolicy")
    assert policies["deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    labels = [
        template["metadata"]["labels"]
        for resource in resources
        for template in templates(resource)
        if template.get("metadata", {}).get("labels")
    ]
    for policy in policies.values():
        for key, value in policy["spec"]["podSelector"].get("matchLabels", {}).items():
            assert any(each.get(key) == value for each in labels), policy["metadata"]["name"]


def templates(node: Any) -> Iterator[Resource]:
    if isinstance(node, dict):
        if "template" in node:
            yield node["template"]
        for value in node.values():
            yield from templates(value)
    elif isinstance(node, list):
        for value in node:
            yield from templates(value)


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


def served(resources: list[Resource]) -> Resource:
    """The configuration of Ray Serve."""
    found: Resource = yaml.safe_load(named(resources, "RayService")["serving"]["spec"]["serveConfigV2"])
    return found


def environment(container: Resource, resources: list[Resource]) -> dict[str, str]:
    """The variables of a container, of ConfigMaps and of its own."""
    maps = named(resources, "ConfigMap")
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= maps[source["configMapRef"]["name"]]["data"]
    return found | {each["name"]: each["value"] for each in container.get("env", ())}


def submitted(resources: list[Resource]) -> list[str]:
    """The words of the search's command, after KubeRay's submitter has pasted it into its script as it is."""
    spec = named(resources, "RayJob")["search"]["spec"]
    [container] = spec["submitterPodTemplate"]["spec"]["containers"]
    script = f"ray() {{ printf '%s\\n' \"$@\"; }}; ray job submit -- {spec['entrypoint'].strip()} ;"
    done = subprocess.run(
        ["bash", "-u", "-c", script],
        env=environment(container, resources),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[3:]


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
