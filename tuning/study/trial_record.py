"""TrialRecord: all that is known of one trial, read from Optuna's storage. Summary, tracking and report show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from trainers.objective import Objective, Score
from trainers.recipe import upgraded
from tuning.study.verdict import Verdict

# keys of the Optuna trial's user attributes
RECIPE, RECIPE_ID, PROVENANCE, RUNG, VERDICT, SECONDS = (
    "recipe", "recipe_id", "provenance", "rung:", "verdict", "seconds",
)  # fmt: skip
CONTINUES = "continues"  # key of a provenance: the number of the trial with fewer steps

# what becomes of a trial at a rung: it goes on, it ends, or it waits with a checkpoint for its promotion
Decision = Literal["continue", "stop", "pause"]
# the names that the first versions stored
OLD_DECISIONS: Mapping[str, Decision] = {"goes on": "continue", "stops": "stop", "waits": "pause"}
NOT_STORED = ("score",)
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)  # Optuna's states of trials with a result


@dataclass(frozen=True)
class Rung:
    """A trial's evaluation at one rung, and what the scheduler made of it.

    step: gradient steps taken; value: the objective's.
    seconds: of the worker, that the trial had used by then; seconds_training: those of them in gradient steps.
    time: when, in seconds since 1970.
    metrics: all that was measured, by name (trainers.metrics.Metrics.flat).
    decision: "continue" (past the last rung: completed), "stop", or "pause" until its promotion; reason: why, in a line.
    rank, of: its place among the trials that had reached the rung; cutoff: the objective of the worst that may go on.
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
    def from_dict(cls, fields: Mapping[str, Any], objective: Objective) -> Rung:
        """The rung that `to_dict` wrote, or an earlier version, which had the objective under its name."""
        known = {name: value for name, value in fields.items() if name != objective.name}
        value = fields["value"] if "value" in fields else fields[objective.name]
        decision = OLD_DECISIONS.get(fields["decision"], fields["decision"])
        found = objective.value(fields["metrics"])
        score = objective.of_value(value) if found is None else objective.score(fields["metrics"])
        return cls(**known | {"value": value, "decision": decision, "score": score})


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a study.

    number: Optuna's, from 0. state: a verdict's, or "running".
    provenance: where its recipe comes from: {"name", "source"} of a published one, {} when the search proposed it.
    """

    number: int
    state: str
    verdict: Verdict | None
    recipe_id: str
    recipe: Mapping[str, Any]
    rungs: tuple[Rung, ...]
    provenance: Mapping[str, str]
    seconds_training: float
    seconds_overhead: float

    @property
    def value(self) -> float | None:
        """The objective at its last rung; None before the first."""
        return self.rungs[-1].value if self.rungs else None

    @property
    def step(self) -> int:
        """Of its last rung; 0 before the first."""
        return self.rungs[-1].step if self.rungs else 0

    @property
    def model(self) -> str:
        """The model that its recipe names."""
        return str(self.recipe["model"])


def of(trial: FrozenTrial, objective: Objective) -> TrialRecord:
    """The record that Optuna's `trial` holds, of a study with that objective."""
    attrs = trial.user_attrs
    running = trial.state == TrialState.RUNNING
    # a trial that was interrupted and runs again keeps its old verdict until its next
    verdict = None if running else Verdict.from_dict(attrs[VERDICT])
    rungs = (Rung.from_dict(fields, objective) for key, fields in attrs.items() if key.startswith(RUNG))
    seconds = attrs.get(SECONDS, {})
    return TrialRecord(
        number=trial.number,
        state="running" if verdict is None else verdict.state,
        verdict=verdict,
        recipe_id=attrs[RECIPE_ID],
        recipe=upgraded(attrs[RECIPE]),
        rungs=tuple(sorted(rungs, key=lambda rung: rung.step)),
        provenance=attrs.get(PROVENANCE, {}),
        seconds_training=seconds.get("training", 0.0),
        seconds_overhead=seconds.get("overhead", 0.0),
    )


def best(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The first of the ranking that has a rung and has not failed."""
    return next((r for r in ranking(records) if r.rungs and r.state != "failed"), None)


def ranking(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Best first: by the step of the last rung, failed ones after the others there, then by its score."""

    def key(record: TrialRecord) -> tuple[int, bool, tuple[float, ...]]:
        score = record.rungs[-1].score.key if record.rungs else ()
        return record.step, record.state != "failed", score

    return sorted(records, key=key, reverse=True)


def worth_continuing(
    shorter: Sequence[TrialRecord], everyone: Sequence[TrialRecord], reduction_factor: int
) -> list[TrialRecord]:
    """Of the trials with fewer steps than now: the interrupted, and one in `reduction_factor` of the completed."""
    completed = ranking(record for record in shorter if record.state == "completed")
    best = completed[: max(1, len(completed) // reduction_factor)]
    done = {record.provenance.get(CONTINUES) for record in everyone}
    chosen = [*(record for record in shorter if record.state == "interrupted"), *best]
    return [record for record in chosen if str(record.number) not in done]


def in_words(recipe: Mapping[str, Any]) -> str:
    """A recipe in a few words: model, optimizer and rate, schedule."""
    if not recipe:
        return ""
    rate = recipe["schedule"]["base"]
    return f"{recipe['model']} {recipe['optimizer']['kind']} {rate:.2g} {recipe['schedule']['kind']}"
