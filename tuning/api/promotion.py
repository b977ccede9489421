"""Promotes a trial: its export, proven equal to what was trained, becomes the champion of a registered model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainers.detection import export as exports
from trainers.detection.export import Export, Proof
from trainers.errors import UserError
from tuning.api.exporting import export_trial
from tuning.execution.worker import newest_checkpoint
from tuning.study import trial_record as records
from tuning.study.reading import StudyRead
from tuning.study.trial_record import TrialRecord
from tuning.tracking.mlflow_writer import read_note
from tuning.tracking.registry import ALIAS, Registry, evidence
from tuning.tracking.store import default_uri, opened


@dataclass(frozen=True)
class Promoted:
    """The registered model, its new champion and the one before, None for none."""

    model: str
    version: str
    before: str | None


def promote(
    study: StudyRead, number: int | None, uri: str, model: str, trainer: str, say: Callable[[str], None]
) -> Promoted:
    """Make trial `number`, or the best completed one, the champion of `model` at `uri`.

    Raises UserError when there is no such trial or no checkpoint of it, when its export is not what was trained, or when
    MLflow cannot be told.
    """
    record = chosen(study, number)
    folder = study.folder / "trials" / str(record.number)
    run = read_note(folder, uri).get("run")
    if run is None:
        raise UserError(
            f"trial {record.number} of {study.manifest.study} is not in MLflow at {uri}; run the study again with this "
            "--tracking-uri, or give the one that it was run with"
        )
    with opened(uri) as client:
        client.get_run(run)  # before minutes of work
        registry = Registry(client, uri, model)
        say(f"trial {record.number}: mAP {record.mAP:.3f} at step {record.step}")
        about = {
            "study": study.manifest.study,
            "trial": record.number,
            "mAP": record.mAP,
            "mlflow": {"uri": uri, "run": run},
        }
        newest = newest_checkpoint(folder)
        measured = record.mAP if newest and newest[0] == record.step else None  # an audit may have gone on
        made = export_trial(folder.absolute(), study.manifest.data, about, measured, trainer)
        export = exports.read(made)
        say(proven(export))
        facts = facts_of(study, record)
        by_class = {
            f"AP {name}": f"{record.rungs[-1].metrics[f'AP/{name}']:.4f}"
            for name in export.classes
            if f"AP/{name}" in record.rungs[-1].metrics
        }
        tags = {name: str(value) for name, value in facts.items()}
        version = registry.register(export, run, tags, evidence(export, facts | by_class))
        return Promoted(registry.name, version, registry.crown(version))


def chosen(study: StudyRead, number: int | None) -> TrialRecord:
    """The trial to promote. Raises UserError when there is none, or it cannot be."""
    known = study.records
    if number is None:
        best = records.best(record for record in known if record.state == "completed")
        if best is None:
            states = [record.state for record in known]
            there = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
            raise UserError(
                f"{study.folder}: no trial is completed yet (there are {there or 'none'}); "
                "--trial N names one that is not"
            )
        return best
    record = study.record(number)
    if record.state in ("running", "failed") or not record.rungs:
        why = record.verdict.reason if record.verdict else "it has no verdict yet"
        raise UserError(
            f"{study.folder}: trial {number} is {record.state}, and no detector to promote: {why}"
        )
    return record


def proven(export: Export) -> str:
    """What the export's proof says. Raises UserError when it has none, or one beyond its tolerances."""
    kept = export.manifest.get("proof", {}).get("saved")
    if kept is None:
        raise UserError(f"{export.directory}: was made without proof; delete it to export again")
    proof = Proof(**kept)
    if problem := proof.problem():
        raise UserError(f"{export.directory}: is not what was trained: {problem}")
    return (
        f"export {export.export_id}: on {proof.images} validation images its mAP is {proof.mAP['exported']:.4f}, the "
        f"trained model's {proof.mAP['trained']:.4f} (tolerance {exports.MAP_TOLERANCE}); scores differ by up to "
        f"{proof.score:.5f} ({exports.SCORE_TOLERANCE}), boxes have an IoU of {proof.iou:.5f} or more "
        f"({exports.IOU_TOLERANCE})"
    )


def facts_of(study: StudyRead, record: TrialRecord) -> dict[str, object]:
    """What is known of a champion, by names."""
    last, data = record.rungs[-1], study.manifest.data
    return {
        "study": study.manifest.study,
        "trial": record.number,
        "verdict": record.state,
        "detector": record.recipe["detector"],
        "recipe": record.recipe_id,
        "steps": record.step,
        "mAP": f"{last.mAP:.4f}",
        "mAP50": f"{last.metrics.get('mAP50', -1):.4f}",
        "data": data["name"],
        "data_fingerprint": data["fingerprint"],
        "trials": len(study.trials),
    }


def store_of(study: StudyRead, tracking_uri: str | None) -> str:
    """The MLflow store that is meant: the one named, else the one that the study was told to."""
    return tracking_uri or str(read_note(study.folder).get("uri") or default_uri(study.folder.parent))


def serving_command(promoted: Promoted, studies: Path, uri: str) -> list[str]:
    """What serves the champion."""
    words = ["python", "-m", "serve.run", "--model", f"models:/{promoted.model}@{ALIAS}"]
    if uri != default_uri(studies):
        return [*words, "--tracking-uri", uri]
    return words if studies == Path("studies") else [*words, "--studies-dir", str(studies)]
