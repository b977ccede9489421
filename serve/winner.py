"""Exports the best trial of a study: from its newest checkpoint to a folder that serves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from trainers import export as exports
from trainers.errors import UserError

EXPORT = "export"


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
    target = folder / EXPORT
    if (target / exports.MANIFEST).is_file():
        return target
    # TensorFlow's memory goes with the process, and the server begins without it
    done = subprocess.run(
        [sys.executable, "-m", "serve.winner", str(study)], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode == 2:
        raise UserError(done.stderr.strip().splitlines()[-1].removeprefix("error: "))
    if done.returncode:
        raise UserError(f"{folder}: the export failed: {done.stderr.strip().splitlines()[-1][:300]}")
    return target


def _export(study: Path) -> None:
    """In a process of its own."""
    from trainers.object_detection_api.trainer import DetectorTrainer
    from trainers.recipe import read
    from tuning.study_data import reopen
    from tuning.worker import newest_checkpoint

    summary = json.loads((study / "summary.json").read_text(encoding="utf-8"))
    number = summary["best"]["trial"]
    folder = study / "trials" / str(number)
    newest = newest_checkpoint(folder)
    if newest is None:
        raise UserError(f"{folder}: its checkpoint is gone; run the trial again")
    trainer = DetectorTrainer(reopen(summary["data"], study.parent / "data"))
    trainer.start(read(folder / "recipe.yaml"))
    trainer.load(newest[1])
    trainer.export(folder / EXPORT)
    about = {"study": summary["study"], "trial": number, "mAP": summary["best"]["mAP"]}
    note = folder / "mlflow.json"
    if note.exists():
        told = json.loads(note.read_text(encoding="utf-8"))
        about["mlflow"] = {"uri": told["uri"], "run": told["run"]}
    exports.amend(folder / EXPORT, **about)


if __name__ == "__main__":
    try:
        _export(Path(sys.argv[1]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
