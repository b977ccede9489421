"""Promotes a trial: its export, proven equal to what was trained, becomes the champion of a registered model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainers.errors import UserError
from tuning.api.exporting import export_trial
from tuning.study import trial_record as records
from tuning.study.reading import StudyRead
from tuning.study.trial_folder import newest_checkpoint
from tuning.study.trial_record import TrialRecord
from tuning.tracking.notes import read_note
from tuning.tracking.registry import ALIAS, ModelExport, Registry, evidence
from tuning.tracking.store import default_uri, opened


@dataclass(frozen=True)
class Promoted:
    """The registered model, its new champion and the one before, None for none."""

    model: str
    version: str
    before: str | None


def promote(
    study: StudyRead,
    number: int | None,
    uri: str,
    model: str,
    trainer: str | None,
    say: Callable[[str], None],
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
        objective, task = study.objective.name, study.task
        say(f"trial {record.number}: {objective} {record.value:.3f} at step {record.step}")
        about = {
            "study": study.manifest.study,
            "trial": record.number,
            objective: record.value,
            "mlflow": {"uri": uri, "run": run},
        }
        newest = newest_checkpoint(folder)
        measured = {"objective": objective, "value": record.value}
        unchanged = newest is not None and newest[0] == record.step  # an audit may have trained it on
        made = export_trial(
            folder.absolute(), study.manifest.data, about, measured if unchanged else None, trainer
        )
        found = task.check_export(made)
        say(found.says)
        facts = facts_of(study, record)
        tags = {name: str(value) for name, value in facts.items()}
        export = ModelExport(made, found.export_id, record.step, task.name, task.signature(made))
        table = evidence(found.export_id, {**found.facts, **facts, **_by_group(study, record)})
        version = registry.register(export, run, tags, table)
        return Promoted(registry.name, version, registry.set_champion(version))


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
        raise UserError(f"{study.folder}: trial {number} is {record.state} and cannot be promoted: {why}")
    return record


def facts_of(study: StudyRead, record: TrialRecord) -> dict[str, object]:
    """What is known of a champion, by names."""
    last, data = record.rungs[-1], study.manifest.data
    return {
        "study": study.manifest.study,
        "trial": record.number,
        "verdict": record.state,
        "model": record.model,
        "recipe": record.recipe_id,
        "steps": record.step,
        study.objective.name: f"{last.value:.4f}",
        **{name: f"{last.metrics[name]:.4f}" for name in study.task.headline if name in last.metrics},
        "data": data["name"],
        "data_fingerprint": data["fingerprint"],
        "trials": len(study.trials),
    }


def _by_group(study: StudyRead, record: TrialRecord) -> dict[str, str]:
    """The metrics of the task's first table, such as the AP of each class."""
    found = {}
    for group in study.task.groups(study.manifest.data["classes"])[:1]:
        for name in group.metrics.values():
            if name in record.rungs[-1].metrics:
                found[name.replace("/", " ")] = f"{record.rungs[-1].metrics[name]:.4f}"
    return found


def store_of(study: StudyRead, tracking_uri: str | None) -> str:
    """The MLflow store that is meant: the one named, else the one that the study was told to."""
    return tracking_uri or str(read_note(study.folder).get("uri") or default_uri(study.folder.parent))


def serving_command(promoted: Promoted, studies: Path, uri: str) -> list[str]:
    """What serves the champion."""
    words = ["python", "-m", "serve.run", "--model", f"models:/{promoted.model}@{ALIAS}"]
    if uri != default_uri(studies):
        return [*words, "--tracking-uri", uri]
    return words if studies == Path("studies") else [*words, "--studies-dir", str(studies)]
