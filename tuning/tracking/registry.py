"""MLflow's model registry: the versions of one model with their evidence, and the alias `champion` on the one to serve.

The model's tag `champion.history` lists the versions that had the alias, the current one last, for rollback. If a killed
process left the tag ahead of the alias, the alias counts.
"""

from __future__ import annotations

import html
import importlib.metadata
import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainers.errors import UserError
from trainers.evidence import ServingSignature
from tuning.tracking.store import allowed_name

ALIAS, HISTORY, EXPORT_ID = "champion", "champion.history", "export_id"
LONGEST_DESCRIPTION = 5000  # characters, the limit of MLflow's databases


@dataclass(frozen=True)
class ModelExport:
    """An export to register.

    folder: where it is. export_id: digest of its contents. step: gradient steps of its trial.
    kind: the task's name, without blanks. signature: its inputs and outputs, and how to load it.
    """

    folder: Path
    export_id: str
    step: int
    kind: str
    signature: ServingSignature


class Registry:
    """The registered model `name` in the MLflow store at `uri`, accessed through `client`."""

    def __init__(self, client: Any, uri: str, name: str) -> None:
        self._client = client
        self._uri = uri
        self.name = name.replace("/", "-").replace(":", "-")  # MLflow allows neither

    def champion(self) -> str | None:
        """The version that has the alias; None if no version has it."""
        return _champion_of(self._model()) if self._exists() else None

    def register(self, export: ModelExport, run: str, tags: Mapping[str, str], description: str) -> str:
        """The version of this export; created if there is none yet.

        run: the trial's MLflow run. tags, description: of a new version.
        """
        if not self._exists():
            self._client.create_registered_model(self.name)
        for version in self._client.search_model_versions(self._name_filter()):
            if version.tags.get(EXPORT_ID) == export.export_id:
                return str(version.version)
        model_id = self._log_model(export, run)
        made = self._client.create_model_version(
            self.name,
            source=f"models:/{model_id}",
            run_id=run,
            tags={allowed_name(name): value for name, value in tags.items()} | {EXPORT_ID: export.export_id},
            description=description,
            model_id=model_id,
        )
        return str(made.version)

    def set_champion(self, version: str) -> str | None:
        """Move the alias to `version`. Returns the version that had it before, or None."""
        before = self.champion()
        if before != version:
            # history first: after a kill in between, `_history` drops what follows the alias
            history = json.dumps([*self._history(), version])
            self._client.set_registered_model_tag(self.name, HISTORY, history)
            self._client.set_registered_model_alias(self.name, ALIAS, version)
        return before

    def roll_back(self) -> tuple[str, str]:
        """Move the alias back to the previous champion. Returns both versions, (from, to).

        Raises UserError when there is no model, no champion or no previous one.
        """
        if not self._exists():
            raise UserError(f"MLflow at {self._uri} has no model '{self.name}'; promote a trial first")
        history = self._history()
        if not history:
            raise UserError(f"{self.name}: has no alias '{ALIAS}' to roll back; promote a trial first")
        if len(history) < 2:
            raise UserError(
                f"{self.name}: version {history[-1]} is the first '{ALIAS}'; there is no earlier one to roll back to"
            )
        self._client.set_registered_model_alias(self.name, ALIAS, history[-2])
        self._client.set_registered_model_tag(self.name, HISTORY, json.dumps(history[:-1]))
        return history[-1], history[-2]

    def _history(self) -> list[str]:
        """The champions in order, the current one last; empty without a champion."""
        model = self._model()
        champion = _champion_of(model)
        if champion is None:
            return []
        kept = [str(version) for version in json.loads(model.tags.get(HISTORY, "[]"))]
        if champion not in kept:  # set by a person
            return [*kept, champion]
        return kept[: len(kept) - kept[::-1].index(champion)]

    def _name_filter(self) -> str:
        quote = '"' if "'" in self.name else "'"
        return f"name={quote}{self.name}{quote}"

    def _exists(self) -> bool:
        return bool(self._client.search_registered_models(self._name_filter()))

    def _model(self) -> Any:
        return self._client.get_registered_model(self.name)

    def _log_model(self, export: ModelExport, run: str) -> str:
        """Log the export as a model of the trial's run, with signature and input example. Returns the model's id."""
        import mlflow
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model
        from mlflow.pyfunc import save_model

        mlflow.set_tracking_uri(self._uri)  # create_model_version resolves models:/... with it
        experiment = self._client.get_run(run).info.experiment_id
        logged = self._client.create_logged_model(
            experiment, "export", source_run_id=run, model_type=export.kind
        )
        signature = export.signature
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save_model(
                path=f"{folder}/model",
                mlflow_model=Model(logged.artifact_location, run, model_id=logged.model_id),
                loader_module=signature.loader.stem,
                code_paths=[str(signature.loader)],
                data_path=str(export.folder),
                signature=_signature(signature),
                input_example=dict(signature.example),
                pip_requirements=_requirements(signature.requirements),
            )
            self._client.log_model_artifacts(logged.model_id, f"{folder}/model")
        self._client.finalize_logged_model(logged.model_id, "READY")
        self._client.log_outputs(run, [LoggedModelOutput(logged.model_id, export.step)])
        return str(logged.model_id)


def _champion_of(model: Any) -> str | None:
    version = model.aliases.get(ALIAS)  # int or str, depending on the store
    return None if version is None else str(version)


def _signature(about: ServingSignature) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs, outputs = (
        Schema([TensorSpec(np.dtype(kind), shape, name) for name, (kind, shape) in side.items()])
        for side in (about.inputs, about.outputs)
    )
    return ModelSignature(inputs=inputs, outputs=outputs)


def _requirements(names: Sequence[str]) -> list[str]:
    """Requirement lines for MLflow: mlflow and `names`, those that are installed, in their installed versions."""
    installed = {
        str(each.metadata["Name"]).lower(): each.version for each in importlib.metadata.distributions()
    }
    return [f"{name}=={installed[name]}" for name in ("mlflow", *names) if name in installed]


def evidence(export_id: str, facts: Mapping[str, Any]) -> str:
    """The description of a version: a Markdown table of the export's id and the facts."""
    rows = {"export": export_id} | dict(facts)
    lines = ["| | |", "|---|---|", *(f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items())]
    while sum(len(line) + 1 for line in lines) > LONGEST_DESCRIPTION:  # drops the last of hundreds of classes
        lines.pop()
    return "\n".join(lines)


def _cell(value: object) -> str:
    return html.escape(str(value)).replace("|", "&#124;")
