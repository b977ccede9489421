"""Finds an export by what a user names: a folder, a study, or a model in MLflow's registry."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from serve.exports.winner import export_winner
from trainers.errors import UserError
from trainers.export import MANIFEST
from tuning.stores.arguments import add_studies_dir
from tuning.study.storage.working_copy import refresh


def add_flags(line: ArgumentParser, title: str = "model") -> None:
    """The flags --study, --model, --threshold-for, --studies-dir and --tracking-uri, in a group of their own."""
    add = line.add_argument_group(title).add_argument
    add("--study", metavar="NAME", help="the best trial of this study")
    add("--model", metavar="MODEL", help="an export's folder, or models:/NAME@ALIAS")
    add(
        "--threshold-for",
        metavar="CONDITION",
        help="with --study, its score threshold: f1, 'precision>=.9' or 'recall>=.8' (default: as exported)",
    )
    add_studies_dir(add)
    add("--tracking-uri", metavar="URI", help="of MLflow (default: mlflow.db in --studies-dir)")


def located(
    model: str | None,
    study: str | None,
    studies_dir: Path,
    tracking_uri: str | None = None,
    threshold_for: str | None = None,
) -> Path:
    """The export's folder; a study's best trial is exported first if needed. Raises UserError.

    model: a folder, or models:/NAME@ALIAS or models:/NAME/VERSION in MLflow. study: a study's name. Give one of them.
    threshold_for: with `study`, the condition that its score threshold is to meet on the validation images.
    """
    if study is not None and model is not None:
        raise UserError("give either --study or --model")
    if threshold_for is not None and model is not None:
        raise UserError(
            "--threshold-for is for --study; promote a trial with it to have a model with that threshold"
        )
    if model is not None and model.startswith("models:/"):
        return _from_registry(model, tracking_uri or f"sqlite:///{(studies_dir / 'mlflow.db').absolute()}")
    if model is not None:
        return Path(model)
    if study is None:
        raise UserError("no model was chosen; give --study NAME or --model FOLDER")
    folder = studies_dir / study
    refresh(folder)
    if not folder.is_dir():
        known = sorted(path.parent.name for path in studies_dir.glob("*/summary.json"))
        hint = f"; available: {', '.join(known)}" if known else ""
        raise UserError(f"{folder}: no such study{hint}; give another --study or --studies-dir")
    return export_winner(folder, threshold_for)


def _from_registry(uri: str, tracking_uri: str) -> Path:
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(tracking_uri)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except (MlflowException, OSError) as error:
        line = " ".join(str(error).split())[:200]
        raise UserError(f"{uri}: cannot be fetched from {tracking_uri} ({line})") from None
    found = sorted(folder.rglob(MANIFEST))
    if not found:
        raise UserError(f"{uri}: contains no export (no {MANIFEST}); register an export's folder")
    return found[0].parent
