"""Finds the export that a person names: a folder, a study's winner, or a model in MLflow's registry."""

from __future__ import annotations

from pathlib import Path

from serve.exports.winner import export_winner
from trainers.detection import export as exports
from trainers.errors import UserError


def located(model: str | None, study: str | None, studies_dir: Path, tracking_uri: str | None = None) -> Path:
    """The export's folder. Raises UserError.

    model: a folder, or models:/NAME@ALIAS or models:/NAME/VERSION of MLflow; study: a study's name; one of them.
    """
    if model is not None and model.startswith("models:/"):
        return _from_registry(model, tracking_uri or f"sqlite:///{(studies_dir / 'mlflow.db').absolute()}")
    if model is not None:
        return Path(model)
    if study is None:
        raise UserError("name what is to be served: --study NAME or --model FOLDER")
    folder = studies_dir / study
    if not folder.is_dir():
        known = sorted(path.parent.name for path in studies_dir.glob("*/summary.json"))
        hint = f"; there are {', '.join(known)}" if known else ""
        raise UserError(f"{folder}: there is no such study{hint}; give another --study or --studies-dir")
    return export_winner(folder)


def _from_registry(uri: str, tracking_uri: str) -> Path:
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(tracking_uri)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except (MlflowException, OSError) as error:
        line = " ".join(str(error).split())[:200]
        raise UserError(f"{uri}: cannot be fetched from {tracking_uri} ({line})") from None
    found = sorted(folder.rglob(exports.MANIFEST))
    if not found:
        raise UserError(f"{uri}: holds no export (no {exports.MANIFEST} in it); register an export's folder")
    return found[0].parent
