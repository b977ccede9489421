"""Ledger: which trials early stopping ended, what that saved, and what an audit says it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trainers.objective import Objective
from tuning.search.budget import duration
from tuning.study.trial_record import TrialRecord


@dataclass(frozen=True)
class Entry:
    """One stopped trial.

    step: of the rung where it ended; value: the objective there; cutoff: what it would have needed.
    saved_steps, saved_seconds: what the rest of its training would have taken, at its own speed.
    audited: its objective after all its steps, if an audit has trained it on.
    """

    trial: int
    step: int
    value: float
    cutoff: float | None
    reason: str
    saved_steps: int
    saved_seconds: float
    audited: float | None = None


@dataclass(frozen=True)
class Ledger:
    """The stopped trials of a study, what all its trials took, and the best objective of those that went all the way."""

    objective: Objective
    entries: tuple[Entry, ...]
    spent_steps: int
    best: float | None

    @property
    def saved_steps(self) -> int:
        """Gradient steps that were not taken."""
        return sum(entry.saved_steps for entry in self.entries)

    @property
    def saved_share(self) -> float:
        """Of the steps that training everything to the end would have taken."""
        all_steps = self.saved_steps + self.spent_steps
        return self.saved_steps / all_steps if all_steps else 0.0

    @property
    def audited(self) -> list[Entry]:
        """The entries that an audit has trained to their end."""
        return [entry for entry in self.entries if entry.audited is not None]

    @property
    def regrets(self) -> list[float]:
        """By how much each audited trial would have beaten the best; 0 for one that would not."""
        sign = -1.0 if self.objective.direction == "minimize" else 1.0
        best = self.best or 0.0
        return [max(0.0, sign * ((entry.audited or 0.0) - best)) for entry in self.audited]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return {
            "objective": self.objective.name,
            "entries": [asdict(entry) for entry in self.entries],
            "spent_steps": self.spent_steps,
            "best": self.best,
            "saved_steps": self.saved_steps,
            "saved_share": self.saved_share,
            "regrets": self.regrets,
        }


def ledger(
    records: Iterable[TrialRecord],
    max_steps: int,
    audits: Mapping[str, Mapping[str, float]],
    objective: Objective,
) -> Ledger:
    """The ledger of a study's trials.

    audits: final metrics of audited trials, by their number as text.
    """
    entries: list[Entry] = []
    spent, best = 0, None
    for record in records:
        spent += max(record.step, record.verdict.step if record.verdict else 0)
        if record.state == "completed" and record.value is not None and record.recipe["steps"] >= max_steps:
            best = record.value if best is None or objective.better(record.value, best) else best
        if record.state != "pruned" or not record.rungs:
            continue
        assert record.verdict is not None
        last, left = record.rungs[-1], int(record.recipe["steps"]) - record.step
        seconds = left * last.seconds_training / last.step
        audited = objective.value(audits.get(str(record.number), {}))
        cutoff, reason = record.verdict.cutoff, record.verdict.reason
        entries.append(Entry(record.number, last.step, last.value, cutoff, reason, left, seconds, audited))
    return Ledger(objective, tuple(entries), spent, best)


def lines(found: Ledger) -> list[str]:
    """The ledger as a person reads it."""
    said = []
    for entry in found.entries:
        line = f"trial {entry.trial} {entry.reason}; saved {entry.saved_steps} steps, {duration(entry.saved_seconds)}"
        if entry.audited is not None:
            line += f"; audited: {found.objective.name} {entry.audited:.3f} at its end"
        said.append(line)
    seconds = duration(sum(entry.saved_seconds for entry in found.entries))
    said.append(
        f"{len(found.entries)} stopped trials saved {found.saved_steps:,} steps ({found.saved_share:.0%}) and {seconds} "
        "of training"
    )
    if found.audited:
        regrets = found.regrets
        won = sum(regret > 0 for regret in regrets)
        said.append(
            f"audit: {won} of {len(regrets)} sampled would have won, by {max(regrets):.3f} {found.objective.name} "
            f"at most ({sum(regrets) / len(regrets):.4f} on average), against the best of {found.best or 0:.3f}"
        )
    return said
