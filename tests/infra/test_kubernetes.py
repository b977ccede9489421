"""The Kubernetes files fit the schemas of Kubernetes and of KubeRay, and what they refer to is there."""

from __future__ import annotations

import base64
import json
import re
import runpy
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kustomized import Resource, rendered
from pods import (
    clusters,
    containers,
    every_pod,
    named,
    templates,
)

INFRA = Path(__file__).parents[2] / "infra"
VERSION = "1.37"  # of Kubernetes
OVERLAYS = ("kind", "gpu-spot", "serving-many")
KUBERAY = json.loads((Path(__file__).parent / "schemas" / "kuberay.json").read_text())


@pytest.fixture(scope="module")
def secrets() -> dict[str, set[str]]:
    made = json.loads(runpy.run_path(str(INFRA / "make_secrets.py"))["manifests"]())
    for each in made["items"]:
        kubernetes_validate.validate(each, VERSION, strict=True)
        assert all(base64.b64decode(value) for value in each["data"].values())
    return {each["metadata"]["name"]: set(each["data"]) for each in made["items"]}


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
