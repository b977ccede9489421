"""TrialRecord: all that is known of one trial, read from Optuna's storage. Summary, tracking and report show it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from tuning.search.halving import Decision, Judgement, Score
from tuning.study.step_result import StepResult
from tuning.study.verdict import Verdict

# keys of the Optuna trial's user attributes
RECIPE, RECIPE_ID, PROVENANCE, RUNG, VERDICT, SECONDS = (
    "recipe", "recipe_id", "provenance", "rung:", "verdict", "seconds",
)  # fmt: skip
CONTINUES = "continues"  # key of a provenance: the number of the trial with fewer steps


@dataclass(frozen=True)
class Rung:
    """A trial's evaluation at one rung, and what the scheduler made of it.

    step: gradient steps taken; mAP: 0..1, over the validation part.
    seconds: of the worker, that the trial had used by then; seconds_training: those of them in gradient steps.
    time: when, in seconds since 1970.
    metrics: all that was measured, by name (trainers.metrics.Metrics.flat).
    decision: "goes on" (past the last rung: completed), "stops", or "waits" for its promotion; reason: why, in a line.
    rank, of: its place among the trials that had reached the rung; cutoff: the mAP of the worst that was let past.
    """

    step: int
    mAP: float
    seconds: float
    seconds_training: float
    time: float
    metrics: Mapping[str, float]
    decision: Decision
    reason: str
    rank: int
    of: int
    cutoff: float | None

    @property
    def score(self) -> Score:
        """What the scheduler compares."""
        return Score.of({**self.metrics, "mAP": self.mAP})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return asdict(self)


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
    def mAP(self) -> float | None:
        """At its last rung; None before the first."""
        return self.rungs[-1].mAP if self.rungs else None

    @property
    def step(self) -> int:
        """Of its last rung; 0 before the first."""
        return self.rungs[-1].step if self.rungs else 0


def of(trial: FrozenTrial) -> TrialRecord:
    """The record that Optuna's `trial` holds."""
    attrs = trial.user_attrs
    running = trial.state == TrialState.RUNNING
    # a trial that was interrupted and runs again keeps its old verdict until its next
    verdict = None if running else Verdict.from_dict(attrs[VERDICT])
    rungs = (Rung(**fields) for key, fields in attrs.items() if key.startswith(RUNG))
    seconds = attrs.get(SECONDS, {})
    return TrialRecord(
        number=trial.number,
        state="running" if verdict is None else verdict.state,
        verdict=verdict,
        recipe_id=attrs[RECIPE_ID],
        recipe=attrs[RECIPE],
        rungs=tuple(sorted(rungs, key=lambda rung: rung.step)),
        provenance=attrs.get(PROVENANCE, {}),
        seconds_training=seconds.get("training", 0.0),
        seconds_overhead=seconds.get("overhead", 0.0),
    )


def reached(result: StepResult, score: Score, judgement: Judgement) -> Rung:
    """The rung that a worker's result and the scheduler's word make."""
    return Rung(
        step=result.step,
        mAP=score.mAP,
        seconds=result.seconds_training + result.seconds_overhead,
        seconds_training=result.seconds_training,
        time=time.time(),
        metrics={name: value for name, value in result.metrics.items() if math.isfinite(value)},
        decision=judgement.decision,
        reason=judgement.reason(score),
        rank=judgement.rank,
        of=judgement.of,
        cutoff=judgement.cutoff.mAP if judgement.cutoff else None,
    )


def best(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The first of the ranking that has a rung and has not failed."""
    return next((r for r in ranking(records) if r.rungs and r.state != "failed"), None)


def ranking(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Best first: by the step of the last rung, failed ones after the others there, then by its score."""

    def key(record: TrialRecord) -> tuple[int, bool, tuple[int, int, float]]:
        score = record.rungs[-1].score.key if record.rungs else (-1, -1, float("-inf"))
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
