"""The published COCO checkpoints' variables, kept in tests/trainers/zoo as trees of their names' parts."""

import json
from pathlib import Path
from typing import Any

from trainers.object_detection_api.detector import detector

FOLDER = Path(__file__).with_name("zoo")


def published_variables(name: str) -> dict[str, list[int]]:
    """Shape by name, the save counter included."""
    tree = json.loads((FOLDER / f"{detector(name).zoo_archive}.json").read_text())
    return dict(_leaves(tree, ""))


def published_config(name: str) -> str:
    """The model part of the published pipeline.config."""
    return (FOLDER / f"{detector(name).zoo_archive}.config").read_text()


def _leaves(tree: dict[str, Any], path: str) -> list[tuple[str, list[int]]]:
    found = []
    for name, below in tree.items():
        found += _leaves(below, f"{path}{name}/") if isinstance(below, dict) else [(path + name, below)]
    return found
