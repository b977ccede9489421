"""ReportContext: the data that all sections of a report share, computed once from a study as it was read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tuning.reporting.statistics import rung_trials, selection, trial_bootstrap
from tuning.reporting.statistics.bootstrap import Interval
from tuning.reporting.statistics.rung_trials import RungTrials
from tuning.reporting.statistics.trial_bootstrap import TrialBootstrap
from tuning.study import trial_record as records
from tuning.study.reading import StudyRead
from tuning.study.trial_record import TrialRecord

BOOTSTRAPPED = 12  # this many of the best trials get intervals, and the best of each model


@dataclass(frozen=True)
class ReportContext:
    """A snapshot of a study, which may still be running.

    data: where its dataset is now, if it was moved. price_per_hour: of one worker, in the user's currency.
    suspects: whether likely label errors are wanted; to find them takes seconds.
    """

    study: StudyRead
    data: str | None = None
    price_per_hour: float | None = None
    suspects: bool = False

    @cached_property
    def records(self) -> list[TrialRecord]:
        """All trials, by number."""
        return self.study.records

    @cached_property
    def ranked(self) -> list[TrialRecord]:
        """The trials that reached a rung and did not fail, best first."""
        measured = [record for record in self.records if record.rungs and record.state != "failed"]
        return records.ranking(measured)

    @property
    def best(self) -> TrialRecord | None:
        """The best trial."""
        return self.ranked[0] if self.ranked else None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in label order."""
        return tuple(self.study.manifest.data["classes"])

    @cached_property
    def best_by_model(self) -> dict[str, TrialRecord]:
        """The best trial of each model, best first."""
        found: dict[str, TrialRecord] = {}
        for record in self.ranked:
            found.setdefault(record.model, record)
        return found

    def clip_interval(self, interval: Interval) -> Interval:
        """An interval of the objective, clipped to the objective's possible values."""
        return interval.clip(0, 1) if self.study.objective.criteria[0].bounded else interval

    def lead(self, one: TrialBootstrap, other: TrialBootstrap, among: int) -> Interval:
        """By how much `one` is better than `other` in the objective: positive if it is, in either direction.

        among: the number of trials from which the two were chosen by their results.
        """
        ahead = one.objective - other.objective
        if self.study.objective.direction == "minimize":
            ahead = other.objective - one.objective
        return ahead.interval(among)

    def rivals(self, record: TrialRecord) -> list[TrialRecord]:
        """The trials from which `record` was chosen: all with as many steps, itself included, best first."""
        return [other for other in self.ranked if other.step == record.step]

    def lead_over(self, one: TrialRecord, other: TrialRecord) -> Interval | None:
        """`lead` of two trials; None if they differ in steps, or the results of one are not stored."""
        first, second = self.bootstraps.get(one.number), self.bootstraps.get(other.number)
        if one.step != other.step or first is None or second is None:
            return None
        return self.lead(first, second, len(self.rivals(one)))

    @cached_property
    def best_without_luck(self) -> float | None:
        """The best trial's objective, corrected for its having been chosen by it; None where it has no interval."""
        if self.best is None or self.best.number not in self.bootstraps:
            return None
        rivals = self.rivals(self.best)
        measured = [self.bootstraps[r.number].objective for r in rivals if r.number in self.bootstraps]
        others = [r.value for r in rivals if r.number not in self.bootstraps and r.value is not None]
        return selection.without_luck(measured, others, self.study.objective.direction == "minimize")

    @cached_property
    def bootstraps(self) -> dict[int, TrialBootstrap]:
        """Bootstrap results of the best trials, by number; only of trials with stored per-image results."""
        chosen = {record.number: record for record in self.ranked[:BOOTSTRAPPED]}
        chosen |= {record.number: record for record in self.best_by_model.values()}
        return trial_bootstrap.bootstrap_trials(self.study, list(chosen.values()))

    @cached_property
    def rung_trials(self) -> RungTrials | None:
        """The trials at the rung that suits comparisons best; without those that began with others' weights."""
        own = [record for record in self.ranked if record.fork is None]
        return rung_trials.trials_at_rung(own, self.study.trials, self.study.objective)

    @cached_property
    def importances(self) -> dict[str, float]:
        """Parameter importances among `rung_trials`."""
        return rung_trials.importances(self.rung_trials)
