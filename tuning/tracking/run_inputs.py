"""What an MLflow run says of its inputs: a recipe as flat parameters, and the data as MLflow's Dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings and lists as one level: `schedule.base`, `augmentations` as their names and options."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
            for i, item in enumerate(value):
                found |= flat({f"{name}.{item.get('name', i)}": item.get("options", item)}, prefix)
        else:
            found[f"{prefix}{name}"] = value
    return found


def dataset_input(data: Mapping[str, Any]) -> Any:
    """MLflow's input of a study's data (Manifest.data): name, fingerprint as its digest, and where it is."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": str(data["source"])})
    found = Dataset(str(data["name"])[:500], str(data["fingerprint"])[:36], "local", source)
    return DatasetInput(found, [InputTag("mlflow.data.context", "training")])
