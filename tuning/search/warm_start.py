"""Warm start: what a new study takes from an earlier one, in its folder or in an MLflow experiment.

Its best recipes are the first trials. Where data, steps and preset are the same, all its trials teach TPE as well;
elsewhere they cannot, as a result on other images says nothing of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from search_spaces.space import Seed
from trainers import task as tasks
from trainers.errors import UserError
from trainers.objective import Objective
from tuning.search.fitting import Fitting
from tuning.study.manifest import Manifest

SEEDS = 4  # of an earlier study's best recipes
SAME = ("task", "objective", "preset", "max_steps", "image_size", "batch_size", "weights")


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
    objective = asked.resolved_objective()
    fitted.sort(key=lambda trial: _rank(trial, objective), reverse=True)
    unlike: list[FrozenTrial] = []  # one that was continued with more steps is there twice
    for trial in fitted:
        if len(unlike) < SEEDS and all(trial.params != other.params for other in unlike):
            unlike.append(trial)
    seeds = [_seed(trial, earlier.name, objective) for trial in unlike]
    first = {
        "task": asked.task,
        "objective": tasks.get(asked.task).default_objective,
    }  # which the first versions had
    same = earlier.about.get("fingerprint") == asked.data["fingerprint"] and all(
        earlier.about.get(name, first.get(name)) == getattr(asked, name) for name in SAME
    )
    lessons = fitted if same else []
    of = f"{len(fitted)} of {len(earlier.trials)} trials of {earlier.name} fit; the best {len(seeds)} are tried first"
    return WarmStart(seeds, lessons, of + (", all teach the search" if same else " (other data or budget)"))


def _numbered(trial: FrozenTrial) -> FrozenTrial:
    # below every trial of the new study, so that none is mistaken for one of its own
    trial.number = -1 - trial.number
    return trial


def _rank(trial: FrozenTrial, objective: Objective) -> tuple[int, float]:
    value = objective.criteria[0].rank(trial.value) if trial.value is not None else float("-inf")
    return max(trial.intermediate_values, default=0), value


def _seed(trial: FrozenTrial, name: str, objective: Objective) -> Seed:
    number, step = -1 - trial.number, max(trial.intermediate_values, default=0)
    source = f"warm start: {objective.name} {trial.value:.3f} at step {step} there"
    return Seed(f"{name} trial {number}", source, dict(trial.params), ())
