"""History: the state that earlier runs of a study left, from which a search resumes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from trainers import recipe as recipes
from tuning.search.scheduler import Scheduler
from tuning.study import verdict as verdicts
from tuning.study.fork import FORKS
from tuning.study.proposal import Proposal
from tuning.study.storage.working_copy import fetch_trial
from tuning.study.study import Study
from tuning.study.trial_folder import newest_checkpoint
from tuning.study.trial_record import CONTINUES, KNOWN, REPEATS, TrialRecord, worth_continuing
from tuning.study.verdict import Verdict

MOST_FAILURES = 8


@dataclass
class History:
    """The earlier trials of a study, as a search needs them.

    "Shorter" trials were begun under a smaller --max-steps than the study has now.

    ended: number of trials with a final verdict. completed: numbers of those that took all steps of a full trial.
    interrupted: trials to resume. to_continue: shorter trials to continue as new trials with more steps.
    not_counted: numbers of trials that continue shorter ones, have the known results of an earlier study, or train a
        recipe again: they do not count as further trials.
    superseded: interrupted trials that another trial already continues, or replaces, with their verdicts, which are due.
    """

    ended: int = 0
    completed: set[int] = field(default_factory=set)
    interrupted: list[TrialRecord] = field(default_factory=list)
    to_continue: list[TrialRecord] = field(default_factory=list)
    not_counted: set[int] = field(default_factory=set)
    superseded: list[tuple[TrialRecord, Verdict]] = field(default_factory=list)


class Failures:
    """The failures since a trial last reached a rung: if all trials fail alike, the search should stop."""

    def __init__(self) -> None:
        self._reasons: list[str] = []

    def add(self, reason: str) -> str | None:
        """Add a failure. Returns what to tell the user once MOST_FAILURES in a row were alike, apart from numbers."""
        self._reasons.append(re.sub(r"\d+", "", reason))
        if len(self._reasons) < MOST_FAILURES or len(set(self._reasons)) > 1:
            return None
        count = len(self._reasons)
        return (
            f"{count} trials in a row failed alike: {reason}; fix that and run the same command to continue"
        )

    def clear(self) -> None:
        """A trial has reached a rung."""
        self._reasons.clear()


def of(records: Sequence[TrialRecord], scheduler: Scheduler, folds: int = 0) -> History:
    """The history in a study's `records`. Also records their rungs with the `scheduler`.

    folds: into which the images are split now; a trial that was interrupted on one of others waits for these.
    """
    found = History()
    uncounted = {CONTINUES, KNOWN, REPEATS, FORKS}
    found.not_counted = {record.number for record in records if uncounted & record.provenance.keys()}
    forked = {record.fork.instead_of: record for record in records if record.fork is not None}
    shorter = []
    for record in records:
        full = record.recipe["steps"] >= scheduler.rungs[-1]
        if record.verdict is not None and record.verdict.final:
            found.ended += record.number not in found.not_counted
            if full and record.state == "completed" and record.repeats is None:
                found.completed.add(record.number)
        elif full and record.number in forked:  # the driver was killed before it had ended the replaced trial
            found.ended += record.number not in found.not_counted
            by = forked[record.number]
            assert by.fork is not None
            found.superseded.append((record, verdicts.replaced(by.fork, by.number)))
        elif full and (record.fold is None or record.fold.of == folds):
            found.interrupted.append(record)
        if not full:
            shorter.append(record)
            continue
        for rung in record.rungs if record.repeats is None else ():
            scheduler.record(record.number, rung.step, rung.score)
            if rung.decision == "continue":
                scheduler.promote(record.number, rung.step)
    found.to_continue = worth_continuing(shorter, records, scheduler.reduction_factor)
    longer = {record.provenance.get(CONTINUES): record.number for record in records}
    for record in shorter:
        if record.state == "interrupted":
            found.ended += record.number not in found.not_counted
            if str(record.number) in longer:  # the driver was killed before it had ended the shorter trial
                number, steps = longer[str(record.number)], scheduler.rungs[-1]
                found.superseded.append((record, verdicts.continued(record.step, number, steps)))
    return found


def continue_longer(study: Study, shorter: TrialRecord, steps: int) -> TrialRecord:
    """A new trial with more steps, which starts from the checkpoint of a shorter one."""
    trial = study.trial(shorter.number)
    recipe = recipes.build(dict(shorter.recipe) | {"steps": steps}, where=f"trial {shorter.number}")
    fetch_trial(study.trial_folder(shorter.number), wait=True)
    newest = newest_checkpoint(study.trial_folder(shorter.number))
    return study.begin(
        Proposal(recipe, trial.params, trial.distributions),
        {
            "name": f"trial {shorter.number} continued",
            "source": f"from its checkpoint at step {newest[0]}" if newest else "its checkpoint is gone",
            CONTINUES: str(shorter.number),
        },
        [newest[1]] if newest else [],
    )
