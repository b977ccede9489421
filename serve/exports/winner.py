"""Exports the best trial of a study: from its newest checkpoint to a folder that serves."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from trainers.detection.export import MANIFEST
from trainers.errors import UserError
from tuning.api.exporting import EXPORT, export_trial
from tuning.tracking.mlflow_writer import read_note


def export_winner(study: Path) -> Path:
    """The export of the study's best trial, made in `<study>/trials/<number>/export` unless it is there.

    Raises UserError when the study has no best trial yet, or its data or checkpoint are gone.
    """
    try:
        summary = json.loads((study / "summary.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{study}: no summary.json; give the name of a finished study with --study") from None
    except ValueError as error:
        raise UserError(f"{study / 'summary.json'}: cannot be read ({error}); run the search again") from None
    best = summary["best"]
    if best is None:
        raise UserError(f"{study}: no trial has reached a rung yet; let the search go on")
    folder = study / "trials" / str(best["trial"])
    about = {"study": summary["study"], "trial": best["trial"], "mAP": best["mAP"]}
    told = read_note(folder)
    if "run" in told:
        about["mlflow"] = {"uri": told["uri"], "run": told["run"]}
    if not (folder / EXPORT / MANIFEST).is_file():
        # a minute of silence looks like a server that hangs
        print(
            f"exporting trial {best['trial']} of {summary['study']}, mAP {best['mAP']:.3f} ...",
            file=sys.stderr,
        )
    return export_trial(folder, summary["data"], about)
