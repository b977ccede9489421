"""What is in rendered Kubernetes resources: pods, containers, Ray clusters, amounts."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import yaml
from kustomized import Resource


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


def requested(spec: Resource, name: str) -> float:
    """By a pod: containers that prepare it have ended when its others start."""
    alone, together = (
        [amount(each["resources"]["requests"][name]) for each in spec.get(kind, ())]
        for kind in ("initContainers", "containers")
    )
    return max(sum(together), *alone, 0)


def templates(node: Any) -> Iterator[Resource]:
    if isinstance(node, dict):
        if "template" in node:
            yield node["template"]
        for value in node.values():
            yield from templates(value)
    elif isinstance(node, list):
        for value in node:
            yield from templates(value)


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
