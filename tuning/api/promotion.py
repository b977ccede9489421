"""Promotion: exports a trial, checks the export against the trained model, and makes it the registry's champion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainers import export as exports
from trainers.errors import UserError
from tuning.api.deployment.export_results import AVERAGE
from tuning.api.exporting import TEST, check_reached, export_trial
from tuning.study import trial_record as records
from tuning.study.reading import StudyRead
from tuning.study.trial_folder import newest_checkpoint
from tuning.study.trial_record import TrialRecord
from tuning.tracking.notes import read_note
from tuning.tracking.registry import ALIAS, ModelExport, Registry, evidence
from tuning.tracking.store import check_uri, default_uri, file_of, opened


@dataclass(frozen=True)
class Promoted:
    """model: the registered model. version: its new champion. before: the previous champion, None if there was none."""

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
    threshold_for: str | None = None,
) -> Promoted:
    """Make a trial the champion of the registered model `model` in the MLflow store at `uri`.

    number: of the trial; None for the best completed one. trainer: factory, "module:callable", instead of the model's.
    say: called with each line of progress. threshold_for: as in export_trial.
    Raises UserError when there is no such trial, it has no checkpoint, its export does not match the trained model, no
    threshold meets the condition, or MLflow fails.
    """
    record = chosen(study, number)
    folder = (study.folder / "trials" / str(record.number)).absolute()
    run = read_note(folder, uri).get("run")
    if run is None:
        raise UserError(
            f"trial {record.number} of {study.manifest.study} is not in MLflow at {uri}; give the --tracking-uri that "
            "the study was run with, or run the study again with this one"
        )
    with opened(uri) as client:
        client.get_run(run)  # fails now rather than after minutes of work
        registry = Registry(client, uri, model)
        objective, task = study.objective.name, study.task
        say(f"trial {record.number}: {objective} {record.value:.3f} at step {record.step}")
        about = {
            "study": study.manifest.study,
            "trial": record.number,
            objective: record.value,
            "mlflow": {"uri": uri, "run": run},
        }
        check_reached(folder, record.step)
        newest = newest_checkpoint(folder)
        early = record.step < int(
            record.recipe["steps"]
        )  # measured as a worker does at rungs before the last
        images = study.manifest.early_images if early else None
        measured = {"objective": objective, "value": record.value, "images": images}
        unchanged = newest is not None and newest[0] == record.step  # an audit may have trained it further
        kept = measured if unchanged else None
        made = export_trial(folder, study.manifest.data, about, kept, trainer, threshold_for)
        found = task.check_export(made)
        say(found.says)
        facts = {**facts_of(study, record), **_averaged(made, say), **_tested(study, made, say)}
        tags = {name: str(value) for name, value in facts.items()}
        export = ModelExport(made, found.export_id, record.step, task.name, task.signature(made))
        table = evidence(found.export_id, {**found.facts, **facts, **_by_group(study, record)})
        version = registry.register(export, run, tags, table)
        return Promoted(registry.name, version, registry.set_champion(version))


def chosen(study: StudyRead, number: int | None) -> TrialRecord:
    """The trial to promote: `number`, or the best completed one. Raises UserError when it cannot be promoted."""
    known = study.records
    if number is None:
        best = records.best(record for record in known if record.state == "completed")
        if best is None:
            states = [record.state for record in known]
            there = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
            raise UserError(
                f"{study.folder}: no trial is completed yet (there are {there or 'none'}); "
                "wait, or choose another with --trial N"
            )
        return best
    record = study.record(number)
    if record.fold is not None:
        raise UserError(
            f"{study.folder}: trial {number} was trained on fold {record.fold} of the images, not on the study's own "
            f"split; give --trial {record.repeats}, which it repeats"
        )
    if record.state in ("running", "failed") or not record.rungs:
        why = record.verdict.reason if record.verdict else "it has no verdict yet"
        raise UserError(f"{study.folder}: trial {number} is {record.state} and cannot be promoted: {why}")
    return record


def facts_of(study: StudyRead, record: TrialRecord) -> dict[str, object]:
    """Facts about a champion, by name, for the version's tags and description."""
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


def _averaged(export: Path, say: Callable[[str], None]) -> dict[str, object]:
    """Whose weights the export has, as a fact by name; {} for those of the trial alone."""
    found = exports.read(export).manifest.get(AVERAGE)
    if found is None:
        return {}
    trials = ", ".join(map(str, found["trials"]))
    say(f"the average of trials {trials}: {found['objective']} {found['before']:.3f} -> {found['after']:.3f} on "
        f"{found['images']} validation images that did not decide it")  # fmt: skip
    return {"average of trials": trials}


def _tested(study: StudyRead, export: Path, say: Callable[[str], None]) -> dict[str, object]:
    """The objective on the test images, which the search has not used, as facts by name; {} without a test part."""
    found = exports.read(export).manifest.get(TEST)
    value = study.objective.value(found["metrics"]) if found else None
    if found is None or value is None:
        return {}
    say(f"{study.objective.name} {value:.3f} on {found['images']} test images, which the search has not used")
    return {f"test {study.objective.name}": f"{value:.4f}", "test images": found["images"]}


def _by_group(study: StudyRead, record: TrialRecord) -> dict[str, str]:
    """The metrics of the task's first table, such as the AP of each class."""
    found = {}
    for group in study.task.groups(study.manifest.data["classes"])[:1]:
        for name in group.metrics.values():
            if name in record.rungs[-1].metrics:
                found[name.replace("/", " ")] = f"{record.rungs[-1].metrics[name]:.4f}"
    return found


def store_of(study: StudyRead, tracking_uri: str | None) -> str:
    """The MLflow store to use: `tracking_uri` if given, otherwise the one that the study was logged to."""
    if tracking_uri:
        return check_uri(tracking_uri)
    here = default_uri(study.folder.parent)
    logged = str(read_note(study.folder).get("uri") or here)
    database = file_of(logged)
    return here if database is not None and not database.is_file() else logged  # the studies were moved


def serving_command(promoted: Promoted, studies: Path, uri: str) -> list[str]:
    """The command line that serves the champion."""
    words = ["python", "-m", "serve.run", "--model", f"models:/{promoted.model}@{ALIAS}"]
    if uri != default_uri(studies):
        return [*words, "--tracking-uri", uri]
    return words if studies == Path("studies") else [*words, "--studies-dir", str(studies)]
