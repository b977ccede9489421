"""Warm start: uses an earlier study, from its folder or from an MLflow experiment, in a new one.

The best recipes of the earlier study are tried first. If data, steps and preset are the same, the sampler also learns
all its trials, and the results of equal recipes are taken over; results on other images are not comparable.
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
from tuning.search.known import KnownTrial
from tuning.search.space_adapter import SpaceAdapter
from tuning.study.manifest import Manifest

SEEDS = 4  # number of the best recipes to try first
SAME = ("task", "objective", "preset", "max_steps", "image_size", "batch_size", "weights")


@dataclass(frozen=True)
class EarlierStudy:
    """An earlier study.

    name: as the user gave it. about: its Manifest.for_warm_start(). trials: the ended ones, by number.
    known: their results; () if only an MLflow experiment is left of it.
    """

    name: str
    about: Mapping[str, Any]
    trials: Sequence[FrozenTrial]
    known: Sequence[KnownTrial] = ()


@dataclass(frozen=True)
class WarmStart:
    """What a new study takes from an earlier one.

    seeds: to propose first. prior_trials: for the sampler to learn, numbered below 0. message: for the user.
    known: results that the new study takes over instead of training the same recipes again.
    """

    seeds: Sequence[Seed]
    prior_trials: Sequence[FrozenTrial]
    message: str
    known: Sequence[KnownTrial] = ()


def warm_start(earlier: EarlierStudy, asked: Manifest, adapter: SpaceAdapter) -> WarmStart:
    """The warm start of the study `asked` from an earlier study.

    Raises UserError when the earlier study has other classes, or none of its trials fits the space.
    """
    theirs, ours = list(earlier.about["classes"]), list(asked.data["classes"])
    if sorted(theirs) != sorted(ours):
        raise UserError(
            f"--warm-start {earlier.name}: has other classes ({', '.join(theirs)}) than this data ({', '.join(ours)}); "
            "give a study of the same classes"
        )
    adapted = [
        trial for each in earlier.trials if (trial := adapter.adapt(_with_negative_number(each))) is not None
    ]
    if not adapted:
        raise UserError(
            f"--warm-start {earlier.name}: none of its {len(earlier.trials)} ended trials fits this space; "
            "give another study"
        )
    objective = asked.resolved_objective()
    adapted.sort(key=lambda trial: _rank(trial, objective), reverse=True)
    distinct: list[FrozenTrial] = []  # a trial that was continued with more steps occurs twice
    for trial in adapted:
        if len(distinct) < SEEDS and all(trial.params != other.params for other in distinct):
            distinct.append(trial)
    seeds = [_seed(trial, earlier.name, objective) for trial in distinct]
    first = {
        "task": asked.task,
        "objective": tasks.get(asked.task).default_objective,
    }  # of studies of the first versions, which do not name them
    same = earlier.about.get("fingerprint") == asked.data["fingerprint"] and all(
        earlier.about.get(name, first.get(name)) == getattr(asked, name) for name in SAME
    )
    known = earlier.known if same and earlier.about.get("early_images") == asked.early_images else ()
    prior_trials = []
    if same:  # the sampler learns those that are taken over as trials of the new study
        prior_trials = [trial for trial in adapted if not (known and trial in distinct)]
    of = f"{len(adapted)} of {len(earlier.trials)} trials of {earlier.name} fit; the best {len(seeds)} are tried first"
    return WarmStart(
        seeds,
        prior_trials,
        of
        + (", and the sampler learns all" if same else " (the rest is not used: other data or budget)")
        + ("; known results are taken over, not trained again" if known else ""),
        known,
    )


def _with_negative_number(trial: FrozenTrial) -> FrozenTrial:
    # negative, so that it cannot equal the number of a trial of the new study
    trial.number = -1 - trial.number
    return trial


def _rank(trial: FrozenTrial, objective: Objective) -> tuple[int, float]:
    value = objective.criteria[0].rank(trial.value) if trial.value is not None else float("-inf")
    return max(trial.intermediate_values, default=0), value


def _seed(trial: FrozenTrial, name: str, objective: Objective) -> Seed:
    number, step = -1 - trial.number, max(trial.intermediate_values, default=0)
    source = f"warm start: {objective.name} {trial.value:.3f} at step {step} there"
    return Seed(f"{name} trial {number}", source, dict(trial.params), ())
