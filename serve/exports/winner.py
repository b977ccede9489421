"""Exports a study's best trial from its newest checkpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from trainers.detection.export import MANIFEST
from trainers.errors import UserError
from tuning.api.exporting import EXPORT, export_trial


def export_winner(study: Path) -> Path:
    """The export of the study's best trial, in `<study>/trials/<number>/export`; created there if it does not exist.

    Raises UserError when the study has no best trial yet, or its data or checkpoint no longer exist.
    """
    try:
        summary = json.loads((study / "summary.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{study}: no summary.json; give the name of a finished study with --study") from None
    except ValueError as error:
        raise UserError(f"{study / 'summary.json'}: not valid JSON ({error}); run the search again") from None
    best = summary["best"]
    if best is None:
        raise UserError(f"{study}: no trial has reached a rung yet; continue the search")
    folder = study / "trials" / str(best["trial"])
    about = {"study": summary["study"], "trial": best["trial"], "mAP": best["mAP"], **_mlflow_run(folder)}
    if not (folder / EXPORT / MANIFEST).is_file():
        # it takes about a minute
        print(
            f"exporting trial {best['trial']} of {summary['study']}, mAP {best['mAP']:.3f} ...",
            file=sys.stderr,
        )
    return export_trial(folder, summary["data"], about)


def _mlflow_run(trial: Path) -> dict[str, Any]:
    """{"mlflow": {"uri", "run"}} from the trial's mlflow.json; {} for a trial that was not logged to MLflow."""
    try:
        note = json.loads((trial / "mlflow.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {"mlflow": {"uri": note["uri"], "run": note["run"]}} if "run" in note else {}
