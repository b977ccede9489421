"""TrialRecord: a trial as Optuna's storage holds it, typed. Summary, tracking and report all read it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from trainers import model as models
from trainers import score_order
from trainers.datasets.splits.folds import Fold
from trainers.objective import Objective, Score
from trainers.recipe import upgraded
from tuning.study import spent as costs
from tuning.study.fork import Fork
from tuning.study.spent import Spent
from tuning.study.verdict import Verdict

# keys of the Optuna trial's user attributes
RECIPE, RECIPE_ID, PROVENANCE, RUNG, VERDICT, SECONDS = (
    "recipe", "recipe_id", "provenance", "rung:", "verdict", "seconds",
)  # fmt: skip
LOSSES = "losses"
# keys of a provenance: the number of the shorter trial that this one continues; the trial of an earlier study whose
# results it has taken over; the trial of this study whose recipe it trains again with another seed; the fold that it
# does so on, where that is not the study's own split
CONTINUES, KNOWN, REPEATS, FOLD = "continues", "known", "repeats", "fold"

# what a scheduler decides at a rung: train on, stop, or wait with a checkpoint for promotion
Decision = Literal["continue", "stop", "pause"]
# names in studies of the first versions
OLD_DECISIONS: Mapping[str, Decision] = {"goes on": "continue", "stops": "stop", "waits": "pause"}
NOT_STORED = ("score",)
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)  # Optuna's states of trials with a result


@dataclass(frozen=True)
class Rung:
    """A trial's evaluation at one rung, and the scheduler's decision.

    step: gradient steps taken. value: the objective.
    seconds: the worker's, for the trial so far. seconds_training: the part of them in gradient steps.
    time: when it was judged, in seconds since 1970.
    metrics: all metrics by name (trainers.metrics.Metrics.flat).
    decision: "continue" (at the last rung: completed), "stop", or "pause" until its promotion. reason: why, in one line.
    rank, of: its rank, from 1, among the trials that had reached the rung. cutoff: the objective needed to go on.
    score: what the scheduler compares.
    """

    step: int
    value: float
    seconds: float
    seconds_training: float
    time: float
    metrics: Mapping[str, float]
    decision: Decision
    reason: str
    rank: int
    of: int
    cutoff: float | None
    score: Score

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return {name: value for name, value in asdict(self).items() if name not in NOT_STORED}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], objective: Objective, recipe: Mapping[str, Any]) -> Rung:
        """A rung from `to_dict`'s values, of a trial of the recipe with these values.

        The first versions had the value under the objective's name.
        """
        known = {name: value for name, value in fields.items() if name != objective.name}
        value = fields["value"] if "value" in fields else fields[objective.name]
        decision = OLD_DECISIONS.get(fields["decision"], fields["decision"])
        found = objective.value(fields["metrics"])
        model, loss = str(recipe.get("model", "")), models.loss_of(recipe)
        score = (
            objective.of_value(value, model, loss)
            if found is None
            else objective.score(fields["metrics"], model, loss)
        )
        return cls(**known | {"value": value, "decision": decision, "score": score})


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a study.

    number: Optuna's, from 0. state: the verdict's, or "running".
    recipe_id, recipe: the recipe's hash and its plain values. rungs: in order of their steps.
    provenance: where the recipe comes from: {"name", "source"} of a published recipe or of an earlier trial, and
        CONTINUES, KNOWN or REPEATS (and FOLD) if the trial continues another, has its results or trains its recipe
        again, or those of a Fork; {} when the sampler proposed it.
    spent: what it has cost in all runs of the search.
    losses: for each worker that died on it, the machine that was lost with it; "" for the process alone.
    """

    number: int
    state: str
    verdict: Verdict | None
    recipe_id: str
    recipe: Mapping[str, Any]
    rungs: tuple[Rung, ...]
    provenance: Mapping[str, str]
    spent: Spent
    losses: tuple[str, ...] = ()

    @property
    def seconds_training(self) -> float:
        """Worker seconds in gradient steps."""
        return self.spent.training

    @property
    def seconds_overhead(self) -> float:
        """Worker seconds in everything else."""
        return self.spent.overhead

    @property
    def value(self) -> float | None:
        """The objective at the last rung; None before the first."""
        return self.rungs[-1].value if self.rungs else None

    @property
    def step(self) -> int:
        """The step of the last rung; before the first, `began_at`."""
        return self.rungs[-1].step if self.rungs else self.began_at

    @property
    def fork(self) -> Fork | None:
        """From whose weights it began; None for a trial that began with initial weights."""
        return Fork.from_provenance(self.provenance)

    @property
    def began_at(self) -> int:
        """The step from which on its own recipe has trained it: that of its fork, else 0."""
        return 0 if (fork := self.fork) is None else fork.step

    @property
    def model(self) -> str:
        """The name of the recipe's model."""
        return str(self.recipe["model"])

    @property
    def repeats(self) -> int | None:
        """The number of the trial whose recipe it trains again with another seed; None for any other trial."""
        number = self.provenance.get(REPEATS)
        return None if number is None else int(number)

    @property
    def fold(self) -> Fold | None:
        """The fold of the images that it is trained and measured on; None for the study's own split."""
        text = self.provenance.get(FOLD)
        return None if text is None else Fold.parse(text)


def of(trial: FrozenTrial, objective: Objective, live: Spent | None = None) -> TrialRecord:
    """The record of Optuna's `trial`, in a study with this objective.

    live: what the trial has cost by the file of the running trials, which is newer than the journal.
    """
    attrs = trial.user_attrs
    running = trial.state == TrialState.RUNNING
    # a resumed trial still has the attribute of its "interrupted" verdict
    verdict = None if running else Verdict.from_dict(attrs[VERDICT])
    recipe = upgraded(attrs[RECIPE])
    rungs: Sequence[Rung] = [
        Rung.from_dict(fields, objective, recipe) for key, fields in attrs.items() if key.startswith(RUNG)
    ]
    rungs = tuple(sorted(rungs, key=lambda rung: rung.step))
    provenance = attrs.get(PROVENANCE, {})
    last_step = max(rungs[-1].step if rungs else 0, verdict.step if verdict else 0)
    source = provenance.get("source", "") if CONTINUES in provenance else ""
    spent = costs.stored(attrs.get(SECONDS, {}), last_step, source)
    return TrialRecord(
        number=trial.number,
        state="running" if verdict is None else verdict.state,
        verdict=verdict,
        recipe_id=attrs[RECIPE_ID],
        recipe=recipe,
        rungs=rungs,
        provenance=provenance,
        losses=tuple(attrs.get(LOSSES, ())),
        spent=spent if live is None or live.seconds < spent.seconds else live,
    )


def best(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The first in the ranking that has reached a rung and has not failed; None if there is none."""
    return next((r for r in ranking(records) if r.rungs and r.state != "failed"), None)


def ranking(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Best first.

    The completed trials come first, by their scores alone, however long they are: a trial of 360 steps that is better
    than one of 720 is the better detector. Unfinished trials with as many steps as the longest of them are ranked with
    them. All others follow by the step of their last rung, at equal steps by the score there, failed trials last.

    Trials that were trained again are ranked among each other by their mean, in place of the first of them: over the
    folds on which all of them were, else over all their seeds, the first included. Their repeats are no candidates,
    and left out.
    """
    everyone = list(records)
    known = [record for record in everyone if record.repeats is None]
    longest = max((record.step for record in known if record.state == "completed"), default=math.inf)

    def level(record: TrialRecord) -> tuple[bool, float, bool]:
        sound = record.state != "failed"
        whole = record.state == "completed" or (sound and record.step >= longest)
        return whole, 0 if whole else record.step, sound

    levels: dict[tuple[bool, float, bool], list[TrialRecord]] = {}
    for record in known:
        levels.setdefault(level(record), []).append(record)
    found: list[TrialRecord] = []
    for each in sorted(levels, reverse=True):
        found += by_score(levels[each])
    return _by_mean(found, everyone)


def repeated(records: Iterable[TrialRecord]) -> dict[int, list[TrialRecord]]:
    """By number of each completed trial that was trained again with other seeds: it, then its completed repeats."""
    completed = {record.number: record for record in records if record.state == "completed"}
    found: dict[int, list[TrialRecord]] = {}
    for record in completed.values():
        if record.repeats in completed and record.fold is None:
            found.setdefault(record.repeats, [completed[record.repeats]]).append(record)
    return found


def cross_validated(records: Iterable[TrialRecord]) -> dict[int, list[TrialRecord]]:
    """By number of each trial that was trained on folds: its completed repeats on those that all of them completed."""
    found: dict[int, dict[Fold, TrialRecord]] = {}
    for record in records:
        if record.state == "completed" and record.repeats is not None and record.fold is not None:
            found.setdefault(record.repeats, {})[record.fold] = record
    common = set.intersection(*map(set, found.values())) if found else set()
    folds = sorted(common, key=lambda fold: (fold.of, fold.number))
    return {number: [by_fold[fold] for fold in folds] for number, by_fold in found.items() if folds}


def _by_mean(ranked: list[TrialRecord], everyone: Sequence[TrialRecord]) -> list[TrialRecord]:
    means = {
        number: statistics.fmean(each.rungs[-1].score.key[0] for each in several)
        for number, several in (cross_validated(everyone) or repeated(everyone)).items()
    }
    confirmed = [record for record in ranked if record.number in means]
    if not confirmed:
        return ranked
    place = ranked.index(confirmed[0])
    confirmed.sort(key=lambda record: means[record.number], reverse=True)
    others = [record for record in ranked if record.number not in means]
    return [*others[:place], *confirmed, *others[place:]]


def by_score(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Best first, by the score at the last rung; those without a rung last."""
    known = list(records)
    measured = [record for record in known if record.rungs]
    keys = score_order.keys([record.rungs[-1].score for record in measured])
    order = sorted(range(len(measured)), key=lambda i: keys[i], reverse=True)
    return [measured[i] for i in order] + [record for record in known if not record.rungs]


def worth_continuing(
    shorter: Sequence[TrialRecord], everyone: Sequence[TrialRecord], reduction_factor: int
) -> list[TrialRecord]:
    """The trials to continue with more steps: all interrupted, and the best of the completed. No repeats are.

    shorter: the trials with fewer steps than a full trial has now; one in `reduction_factor` of those that are completed
    is continued. everyone: all trials; one that another already continues is left out.
    """
    completed = ranking(record for record in shorter if record.state == "completed")
    best = completed[: max(1, len(completed) // reduction_factor)]
    done = {record.provenance.get(CONTINUES) for record in everyone}
    interrupted = [record for record in shorter if record.state == "interrupted" and record.repeats is None]
    chosen = [*interrupted, *best]
    return [record for record in chosen if str(record.number) not in done]


def in_words(recipe: Mapping[str, Any]) -> str:
    """A recipe in a few words: model, optimizer, learning rate and schedule, such as "NAME adam 0.002 cosine"."""
    if not recipe:
        return ""
    rate = recipe["schedule"]["base"]
    return f"{recipe['model']} {recipe['optimizer']['kind']} {rate:.2g} {recipe['schedule']['kind']}"
