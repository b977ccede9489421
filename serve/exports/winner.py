"""Exports a study's best trial from its newest checkpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from trainers.errors import UserError
from trainers.export import MANIFEST
from tuning.api.exporting import EXPORT, check_reached, export_trial
from tuning.tracking.notes import read_note


def export_winner(study: Path, threshold_for: str | None = None) -> Path:
    """The export of the study's best trial, in `<study>/trials/<number>/export`; created there if it does not exist.

    threshold_for: the condition of its score threshold; None for what it has.
    Raises UserError when the study has no best trial yet, its data or checkpoint no longer exist, or no threshold meets
    the condition.
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
    objective = summary.get("objective", {"name": "mAP"})[
        "name"
    ]  # which summaries of the first versions do not name
    about = {"study": summary["study"], "trial": best["trial"], objective: best[objective]}
    logged = read_note(folder)
    if "run" in logged:
        about["mlflow"] = {"uri": logged["uri"], "run": logged["run"]}
    reached = [trial["rungs"] for trial in summary.get("trials", []) if trial["trial"] == best["trial"]]
    check_reached(folder, max((rung["step"] for rungs in reached for rung in rungs), default=0))
    if not (folder / EXPORT / MANIFEST).is_file():
        # it takes about a minute
        print(
            f"exporting trial {best['trial']} of {summary['study']}, {objective} {best[objective]:.3f} ...",
            file=sys.stderr,
        )
    return export_trial(folder, summary["data"], about, threshold_for=threshold_for)
