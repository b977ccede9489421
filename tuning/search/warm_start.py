"""Warm start: what a new study takes from an earlier one, in its folder or in an MLflow experiment.

Its best recipes are the first trials. Where data, steps and preset are the same, all its trials teach TPE as well;
elsewhere they cannot, as an mAP on other images says nothing of these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces.space import Seed
from trainers.errors import UserError
from tuning.search.fitting import Fitting
from tuning.search.tpe import ENDED
from tuning.study import reading
from tuning.study import trial_record as records
from tuning.study.manifest import Manifest
from tuning.tracking.store import MANIFEST, SUGGESTED, TRIAL, VERDICT, opened

SEEDS = 4  # of an earlier study's best recipes
MLFLOW = "mlflow:"
SAME = ("preset", "max_steps", "image_size", "batch_size", "weights")


@dataclass(frozen=True)
class Earlier:
    """An earlier study.

    name: as the user gave it; about: the fields of its Manifest that are known; trials: the ended ones, by number.
    """

    name: str
    about: Mapping[str, Any]
    trials: Sequence[FrozenTrial]


@dataclass(frozen=True)
class WarmStart:
    """seeds: to propose first. lessons: to teach TPE, numbered below 0. said: a line for the user."""

    seeds: Sequence[Seed]
    lessons: Sequence[FrozenTrial]
    said: str


def warm_start(earlier: Earlier, asked: Manifest, fitting: Fitting) -> WarmStart:
    """What `earlier` is good for in a search for `asked`.

    Raises UserError when it is of another task or other classes, or nothing in it fits.
    """
    theirs, ours = list(earlier.about["classes"]), list(asked.data["classes"])
    if sorted(theirs) != sorted(ours):
        raise UserError(
            f"--warm-start {earlier.name}: is of other classes ({', '.join(theirs)}) than this data ({', '.join(ours)})"
        )
    fitted = [told for trial in earlier.trials if (told := fitting.fit(_numbered(trial))) is not None]
    if not fitted:
        raise UserError(
            f"--warm-start {earlier.name}: none of its {len(earlier.trials)} ended trials fits this space"
        )
    fitted.sort(
        key=lambda trial: (max(trial.intermediate_values, default=0), trial.value or 0.0), reverse=True
    )
    unlike: list[FrozenTrial] = []  # one that was continued with more steps is there twice
    for trial in fitted:
        if len(unlike) < SEEDS and all(trial.params != other.params for other in unlike):
            unlike.append(trial)
    seeds = [_seed(trial, earlier.name) for trial in unlike]
    same = earlier.about.get("fingerprint") == asked.data["fingerprint"] and all(
        earlier.about.get(name) == getattr(asked, name) for name in SAME
    )
    lessons = fitted if same else []
    of = f"{len(fitted)} of {len(earlier.trials)} trials of {earlier.name} fit; the best {len(seeds)} are tried first"
    return WarmStart(seeds, lessons, of + (", all teach the search" if same else " (other data or budget)"))


def read(source: str, studies: Path, tracking_uri: str) -> Earlier:
    """The study that `--warm-start` names: a folder, a study beside the others, or `mlflow:EXPERIMENT`.

    Raises UserError when there is none, or none of its trials has ended.
    """
    name = source.removeprefix(MLFLOW)
    found = _of_mlflow(name, tracking_uri) if source.startswith(MLFLOW) else _of_folder(source, studies)
    if not found.trials:
        raise UserError(f"--warm-start {source}: no trial of it has ended yet")
    return found


def _of_folder(source: str, studies: Path) -> Earlier:
    try:
        found = reading.read(source, studies)
    except UserError as error:
        raise UserError(f"--warm-start {error}") from None
    trials = [trial for trial in found.trials if trial.state in ENDED and trial.value is not None]
    return Earlier(source, found.manifest.in_short(), trials)


def _of_mlflow(name: str, tracking_uri: str) -> Earlier:
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
            trials.append(_of_run(run))
    if not about:
        raise UserError(f"--warm-start {MLFLOW}{name}: holds no study of this program")
    return Earlier(f"{MLFLOW}{name}", about, trials)


def _of_run(run: Any) -> FrozenTrial:
    recipe = {"detector": run.data.params["detector"], "steps": int(run.data.params["steps"])}
    trial = create_trial(
        state=TrialState.COMPLETE if run.data.tags[VERDICT] == "completed" else TrialState.PRUNED,
        value=run.data.metrics["mAP"],
        intermediate_values={int(run.data.metrics["rung"]): run.data.metrics["mAP"]},
        user_attrs={records.RECIPE: recipe},
    )
    trial.params = json.loads(run.data.tags[SUGGESTED])  # fitting asks the space for their distributions
    trial.number = int(run.data.tags[TRIAL])
    return trial


def _numbered(trial: FrozenTrial) -> FrozenTrial:
    # below every trial of the new study, so that none is mistaken for one of its own
    trial.number = -1 - trial.number
    return trial


def _seed(trial: FrozenTrial, name: str) -> Seed:
    number, step = -1 - trial.number, max(trial.intermediate_values, default=0)
    source = f"warm start: mAP {trial.value:.3f} at step {step} there"
    return Seed(f"{name} trial {number}", source, dict(trial.params), ())
