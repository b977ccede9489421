"""Ledger: the trials that early stopping ended, the steps and time saved, and the results of audits.

An audit trains a sample of the stopped trials to their last step, to measure how often early stopping was wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from trainers.objective import Objective
from tuning.search.limits.budget import duration
from tuning.study import spent as costs
from tuning.study.trial_record import CONTINUES, TrialRecord


@dataclass(frozen=True)
class Entry:
    """One stopped trial.

    step: the rung at which it was stopped. value: its objective there. cutoff: the objective needed to continue.
    saved_steps, saved_seconds: the rest of its training, the time estimated from its own speed.
    audited: its objective after all its steps, if an audit has trained it to the end.
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
    """The stopped trials of a study.

    losses: by trial, the machines that were lost with it; "" for a worker process alone.
    spent_steps: gradient steps of all trials. best: the best objective of the trials that completed all their steps.
    """

    objective: Objective
    entries: tuple[Entry, ...]
    spent_steps: int
    best: float | None
    losses: Mapping[int, Sequence[str]] = field(default_factory=dict)

    @property
    def saved_steps(self) -> int:
        """Gradient steps saved, of all stopped trials."""
        return sum(entry.saved_steps for entry in self.entries)

    @property
    def saved_share(self) -> float:
        """The saved steps as a fraction of those needed to train every trial to its end."""
        all_steps = self.saved_steps + self.spent_steps
        return self.saved_steps / all_steps if all_steps else 0.0

    @property
    def audited(self) -> list[Entry]:
        """The audited trials."""
        return [entry for entry in self.entries if entry.audited is not None]

    @property
    def regrets(self) -> list[float]:
        """By how much each audited trial would have beaten the best; 0 if it would not have."""
        sign = -1.0 if self.objective.direction == "minimize" else 1.0
        best = self.best or 0.0
        return [max(0.0, sign * ((entry.audited or 0.0) - best)) for entry in self.audited]

    def to_dict(self) -> dict[str, Any]:
        """The ledger as JSON values."""
        return {
            "objective": self.objective.name,
            "entries": [asdict(entry) for entry in self.entries],
            "spent_steps": self.spent_steps,
            "best": self.best,
            "saved_steps": self.saved_steps,
            "saved_share": self.saved_share,
            "regrets": self.regrets,
            "losses": {str(number): list(machines) for number, machines in self.losses.items()},
        }


def ledger(
    records: Iterable[TrialRecord],
    max_steps: int,
    audits: Mapping[str, Mapping[str, float]],
    objective: Objective,
) -> Ledger:
    """The ledger of a study's trials.

    max_steps: steps of a full trial. audits: final metrics of audited trials, by their number as a string.
    """
    entries: list[Entry] = []
    records = list(records)
    replaced = {record.fork.instead_of for record in records if record.fork}  # others take these steps
    longer = {
        record.provenance.get(CONTINUES) for record in records
    }  # trials that go on under another number
    best = None
    for record in records:
        full = record.state == "completed" and record.recipe["steps"] >= max_steps and record.repeats is None
        if full and record.value is not None:
            best = record.value if best is None or objective.better(record.value, best) else best
        if record.state != "pruned" or not record.rungs or str(record.number) in longer:
            continue
        assert record.verdict is not None
        last = record.rungs[-1]
        left = 0 if record.number in replaced else int(record.recipe["steps"]) - record.step
        seconds = left * last.seconds_training / (last.step - record.began_at)
        audited = objective.value(audits.get(str(record.number), {}))
        cutoff, reason = record.verdict.cutoff, record.verdict.reason
        entries.append(Entry(record.number, last.step, last.value, cutoff, reason, left, seconds, audited))
    spent = costs.total(record.spent for record in records)
    losses = {record.number: record.losses for record in records if record.losses}
    return Ledger(objective, tuple(entries), spent.steps, best, losses)


def lines(found: Ledger) -> list[str]:
    """The ledger as lines of text: one per stopped trial, then the totals, then the result of the audits."""
    text = []
    for entry in found.entries:
        line = f"trial {entry.trial} {entry.reason}; saved {entry.saved_steps} steps, {duration(entry.saved_seconds)}"
        if entry.audited is not None:
            line += f"; audited: {found.objective.name} {entry.audited:.3f} after all its steps"
        text.append(line)
    seconds = duration(sum(entry.saved_seconds for entry in found.entries))
    text.append(
        f"{len(found.entries)} stopped trials saved {found.saved_steps:,} steps ({found.saved_share:.0%}) and {seconds} "
        "of training"
    )
    for number, machines in found.losses.items():
        lost = ", ".join(machine or "a worker process" for machine in machines)
        text.append(f"trial {number} lost {lost}, and went on from its last checkpoint")
    if found.audited:
        regrets = found.regrets
        won = sum(regret > 0 for regret in regrets)
        text.append(
            f"audit: {won} of {len(regrets)} sampled trials would have won, by at most {max(regrets):.3f} "
            f"{found.objective.name} ({sum(regrets) / len(regrets):.4f} on average) over the best, {found.best or 0:.3f}"
        )
    return text
