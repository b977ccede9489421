"""The published COCO checkpoints' variables, kept in tests/trainers/zoo as trees of their names' parts."""

import json
from pathlib import Path
from typing import Any

from trainers import detectors

FOLDER = Path(__file__).with_name("zoo")


def published_variables(detector: str) -> dict[str, list[int]]:
    """Shape by name, the save counter included."""
    tree = json.loads((FOLDER / f"{detectors.get(detector).zoo_archive}.json").read_text())
    return dict(_leaves(tree, ""))


def published_config(detector: str) -> str:
    """The model part of the published pipeline.config."""
    return (FOLDER / f"{detectors.get(detector).zoo_archive}.config").read_text()


def _leaves(tree: dict[str, Any], path: str) -> list[tuple[str, list[int]]]:
    found = []
    for name, below in tree.items():
        found += _leaves(below, f"{path}{name}/") if isinstance(below, dict) else [(path + name, below)]
    return found
