"""History: what the earlier runs of a study left to do, and what they measured, told to the scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tuning.search.scheduler import Scheduler
from tuning.study.trial_record import CONTINUES, TrialRecord, worth_continuing


@dataclass
class History:
    """The trials of a study that a search goes on with.

    ended: how many trials have a final verdict; completed: how many of all took as many steps as trials do now.
    interrupted: trials to go on with. to_continue: trials of fewer steps that merit going on as new ones.
    continuing: trials that continue others; they are no further trials. superseded: trials of fewer steps that were
        interrupted, with the number of the trial that continues each: they have yet to be ended.
    """

    ended: int = 0
    completed: int = 0
    interrupted: list[TrialRecord] = field(default_factory=list)
    to_continue: list[TrialRecord] = field(default_factory=list)
    continuing: set[int] = field(default_factory=set)
    superseded: list[tuple[TrialRecord, int]] = field(default_factory=list)


def of(records: Sequence[TrialRecord], scheduler: Scheduler) -> History:
    """The history in a study's `records`; their rungs are recorded with the `scheduler`."""
    found = History(continuing={record.number for record in records if CONTINUES in record.provenance})
    shorter = []
    for record in records:
        full = record.recipe["steps"] >= scheduler.rungs[-1]
        if record.verdict is not None and record.verdict.final:
            found.ended += record.number not in found.continuing
            found.completed += full and record.state == "completed"
        elif full:
            found.interrupted.append(record)
        if not full:
            shorter.append(record)
            continue
        for rung in record.rungs:
            scheduler.record(record.number, rung.step, rung.score)
            if rung.decision == "continue":
                scheduler.promote(record.number, rung.step)
    found.to_continue = worth_continuing(shorter, records, scheduler.reduction_factor)
    by = {record.provenance.get(CONTINUES): record.number for record in records}
    for record in shorter:
        if record.state == "interrupted":
            found.ended += 1
            if (
                str(record.number) in by
            ):  # the driver was killed between beginning the one and ending the other
                found.superseded.append((record, by[str(record.number)]))
    return found
