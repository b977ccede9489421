"""Reads the earlier study that `--warm-start` names: from its folder, or from an MLflow experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from trainers.errors import UserError
from trainers.objective import Objective
from tuning.search.warm_start import EarlierStudy
from tuning.study import reading
from tuning.study import trial_record as records
from tuning.tracking.store import MANIFEST, SUGGESTED, TRIAL, VERDICT, opened

MLFLOW = "mlflow:"


def read(source: str, studies: Path, tracking_uri: str, objective: Objective) -> EarlierStudy:
    """The study that `--warm-start` names: a folder, a study beside the others, or `mlflow:EXPERIMENT`.

    objective: of the new search; runs in MLflow hold metrics, from which the values of their trials follow.
    Raises UserError when there is none, or none of its trials has ended.
    """
    name = source.removeprefix(MLFLOW)
    found = (
        _of_mlflow(name, tracking_uri, objective)
        if source.startswith(MLFLOW)
        else _of_folder(source, studies)
    )
    if not found.trials:
        raise UserError(f"--warm-start {source}: no trial of it has ended yet")
    return found


def _of_folder(source: str, studies: Path) -> EarlierStudy:
    try:
        found = reading.read(source, studies)
    except UserError as error:
        raise UserError(f"--warm-start {error}") from None
    trials = [trial for trial in found.trials if trial.state in records.ENDED and trial.value is not None]
    return EarlierStudy(source, found.manifest.for_warm_start(), trials)


def _of_mlflow(name: str, tracking_uri: str, objective: Objective) -> EarlierStudy:
    with opened(tracking_uri) as store:
        experiment = store.get_experiment_by_name(name)
        if experiment is None:
            raise UserError(f"--warm-start {MLFLOW}{name}: no such experiment at {tracking_uri}")
        runs = []
        page = None
        while page is None or page.token:
            page = store.search_runs([experiment.experiment_id], page_token=page.token if page else None)
            runs += page
    about: dict[str, Any] = {}
    trials = []
    for run in sorted(runs, key=lambda run: int(run.data.tags.get(TRIAL, -1))):
        if MANIFEST in run.data.tags:
            about = json.loads(run.data.tags[MANIFEST])
        elif run.data.tags.get(VERDICT) in ("completed", "pruned"):
            trials.append(_of_run(run, objective))
    trials = [trial for trial in trials if trial.value is not None]
    if not about:
        raise UserError(f"--warm-start {MLFLOW}{name}: holds no study of this program")
    return EarlierStudy(f"{MLFLOW}{name}", about, trials)


def _of_run(run: Any, objective: Objective) -> FrozenTrial:
    params = run.data.params
    model = params["model"] if "model" in params else params["detector"]  # of the first versions
    value = objective.value(run.data.metrics)
    recipe = {"model": model, "steps": int(run.data.params["steps"])}
    trial = create_trial(
        state=TrialState.PRUNED
        if value is None
        else TrialState.COMPLETE
        if run.data.tags[VERDICT] == "completed"
        else TrialState.PRUNED,
        value=value,
        intermediate_values={} if value is None else {int(run.data.metrics["rung"]): value},
        user_attrs={records.RECIPE: recipe},
    )
    trial.params = json.loads(run.data.tags[SUGGESTED])  # SpaceAdapter adds their distributions
    trial.number = int(run.data.tags[TRIAL])
    return trial
