"""Renders an overlay of infra/kubernetes as kustomize does, in the features that its files use, and no others."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

Resource = dict[str, Any]
KNOWN = {
    "apiVersion", "kind", "namespace", "resources", "images", "generatorOptions", "configMapGenerator", "patches",
    "components",
}  # fmt: skip


def rendered(folder: Path) -> list[Resource]:
    """The resources of a folder with a kustomization.yaml."""
    about = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert about.keys() <= KNOWN, about.keys() - KNOWN
    found: list[Resource] = []
    for name in about["resources"]:
        path = folder / name
        found += rendered(path) if path.is_dir() else [d for d in yaml.safe_load_all(path.read_text()) if d]
    found = copy.deepcopy(found)  # anchors make two places one object
    for made in about.get("configMapGenerator", ()):
        _config_map(made, folder, found)
    for patch in about.get("patches", ()):
        _patch(patch, folder, found)
    for name in about.get("components", ()):
        component = yaml.safe_load((folder / name / "kustomization.yaml").read_text())
        assert component.keys() <= {"apiVersion", "kind", "patches"}
        for patch in component["patches"]:
            _patch(patch, folder / name, found)
    for image in about.get("images", ()):
        for resource in found:
            _image(resource, image)
    return found


def _config_map(made: Resource, folder: Path, found: list[Resource]) -> None:
    data = dict(literal.split("=", 1) for literal in made.get("literals", ()))
    data |= {name: (folder / name).read_text() for name in made.get("files", ())}
    if made.get("behavior") == "merge":
        one = next(r for r in found if (r["kind"], r["metadata"]["name"]) == ("ConfigMap", made["name"]))
        one["data"] |= data
    else:
        found.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made["name"]}, "data": data}
        )


def _patch(patch: Resource, folder: Path, found: list[Resource]) -> None:
    target = patch["target"]
    operations = yaml.safe_load((folder / patch["path"]).read_text() if "path" in patch else patch["patch"])
    chosen = [
        resource
        for resource in found
        if resource["kind"] == target["kind"]
        and target.get("name", resource["metadata"]["name"]) == resource["metadata"]["name"]
    ]
    assert chosen, f"{folder.name}: a patch of {target}, which is not there"
    for resource in chosen:
        # JSON holds no object twice, as YAML's anchors do
        jsonpatch.apply_patch(resource, copy.deepcopy(operations), in_place=True)


def _image(node: Any, image: Resource) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("containers", "initContainers"):
                for container in value:
                    if container["image"] == image["name"]:
                        container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"
            _image(value, image)
    elif isinstance(node, list):
        for each in node:
            _image(each, image)
