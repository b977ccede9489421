"""Reads the earlier study that `--warm-start` names: from its folder, or from an MLflow experiment."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from trainers.errors import UserError
from trainers.objective import Objective
from tuning.api.resolved import Resolved
from tuning.search.known import KnownTrial
from tuning.search.warm_start import EarlierStudy
from tuning.study import reading
from tuning.study import trial_record as records
from tuning.study.fork import FORKS
from tuning.tracking.store import MANIFEST, SUGGESTED, TRIAL, VERDICT, allowed_name, default_uri, opened

MLFLOW = "mlflow:"
ObjectiveOf = Callable[[Sequence[str]], Objective]


def asked_for(here: Resolved) -> EarlierStudy | None:
    """The study of --warm-start, if any. Called before the data are read, since that may take minutes."""
    settings = here.settings
    if not settings.warm_start:
        return None
    uri = settings.tracking_uri or default_uri(settings.studies_dir)

    def objective(classes: Sequence[str]) -> Objective:
        try:
            return here.task.objective(settings.objective, classes)
        except UserError:  # a metric of a class that the earlier study lacks: warm_start() reports that
            return here.task.objective(None, classes)

    return read(settings.warm_start, settings.studies_dir, uri, objective)


def read(source: str, studies: Path, tracking_uri: str, objective: ObjectiveOf) -> EarlierStudy:
    """The study that `--warm-start` names: a folder, the name of a study in `studies`, or `mlflow:EXPERIMENT`.

    objective: of the new search, for the names of the classes. The values of the trials are computed from their
        metrics, since the earlier study may have had another objective.
    Raises UserError when there is no such study, none of its trials has ended, or none measured the objective.
    """
    name = source.removeprefix(MLFLOW)
    found = (
        _of_mlflow(name, tracking_uri, objective)
        if source.startswith(MLFLOW)
        else _of_folder(source, studies, objective)
    )
    if not found.trials:
        raise UserError(
            f"--warm-start {source}: none of its trials has ended yet; wait, or give another study"
        )
    return found


def _of_folder(source: str, studies: Path, objective: ObjectiveOf) -> EarlierStudy:
    try:
        found = reading.read(source, studies)
    except UserError as error:
        raise UserError(f"--warm-start {error}") from None
    wanted = objective(found.manifest.data["classes"])
    # of forks the recipe is not why, and repeats may have been measured on other images
    own = {record.number for record in found.records if record.fork is None and record.repeats is None}
    ended = [t for t in found.trials if t.state in records.ENDED and t.value is not None and t.number in own]
    trials = [_valued(trial, wanted) for trial in ended]
    known = [
        KnownTrial(
            f"{found.folder.name} trial {record.number}", record, found.folder / "trials" / str(record.number)
        )
        for record in found.records
        if record.state in ("completed", "pruned") and record.rungs and record.number in own
    ]
    about = found.manifest.for_warm_start()
    return EarlierStudy(source, about, _measured(source, trials, wanted), known)


def _valued(trial: FrozenTrial, objective: Objective) -> FrozenTrial:
    """The trial with the values that it has by the objective."""
    values = {}
    for step in trial.intermediate_values:
        value = objective.value(trial.user_attrs[f"{records.RUNG}{step}"]["metrics"])
        if value is not None:
            values[step] = value
    valued = copy.copy(trial)
    valued.values = [values[max(values)]] if values else None
    valued.intermediate_values = values
    return valued


def _measured(source: str, ended: Sequence[FrozenTrial], objective: Objective) -> list[FrozenTrial]:
    """Those that have a value. Raises UserError when trials have ended and none has."""
    trials = [trial for trial in ended if trial.value is not None]
    if ended and not trials:
        raise UserError(
            f"--warm-start {source}: none of its trials measured {objective.name}; give another study"
        )
    return trials


def _of_mlflow(name: str, tracking_uri: str, objective: ObjectiveOf) -> EarlierStudy:
    with opened(tracking_uri) as store:
        experiment = store.get_experiment_by_name(name)
        if experiment is None:
            raise UserError(
                f"--warm-start {MLFLOW}{name}: no such experiment at {tracking_uri}; give another name or --tracking-uri"
            )
        runs = []
        page = None
        while page is None or page.token:
            page = store.search_runs([experiment.experiment_id], page_token=page.token if page else None)
            runs += page
    about: dict[str, Any] = {}
    ended = []
    for run in sorted(runs, key=lambda run: int(run.data.tags.get(TRIAL, -1))):
        if MANIFEST in run.data.tags:
            about = json.loads(run.data.tags[MANIFEST])
        elif any(f"provenance.{kind}" in run.data.tags for kind in (FORKS, records.REPEATS)):
            continue
        elif run.data.tags.get(VERDICT) in ("completed", "pruned") and SUGGESTED in run.data.tags:
            ended.append(run)
    if not about:
        raise UserError(
            f"--warm-start {MLFLOW}{name}: was not logged by this program; give another experiment"
        )
    wanted = objective(about["classes"])
    trials = [_of_run(run, wanted) for run in ended]
    return EarlierStudy(f"{MLFLOW}{name}", about, _measured(f"{MLFLOW}{name}", trials, wanted))


def _of_run(run: Any, objective: Objective) -> FrozenTrial:
    params = run.data.params
    model = params["model"] if "model" in params else params["detector"]  # in runs of the first versions
    logged = run.data.metrics
    names = {name: allowed_name(name) for name in objective.judged_by}
    value = objective.value({name: logged[key] for name, key in names.items() if key in logged} | logged)
    recipe = {"model": model, "steps": int(run.data.params["steps"])}
    trial = create_trial(
        state=TrialState.PRUNED
        if value is None
        else TrialState.COMPLETE
        if run.data.tags[VERDICT] == "completed"
        else TrialState.PRUNED,
        value=value,
        intermediate_values={} if value is None else {_last_rung(run): value},
        user_attrs={records.RECIPE: recipe},
    )
    trial.params = json.loads(run.data.tags[SUGGESTED])  # SpaceAdapter adds their distributions
    trial.number = int(run.data.tags[TRIAL])
    return trial


def _last_rung(run: Any) -> int:
    """The step of the run's last rung; a run whose logging was cut short may lack it, then that of its verdict."""
    step = run.data.metrics.get("rung", run.data.tags.get(f"{VERDICT}.step", run.data.params["steps"]))
    return int(float(step))
