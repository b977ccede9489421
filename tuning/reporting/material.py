"""Material: what every part of a report is written from. Read once, from a study that may still be running."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tuning.reporting.statistics import at_rung, evidence
from tuning.reporting.statistics.at_rung import AtRung
from tuning.reporting.statistics.bootstrap import Interval
from tuning.reporting.statistics.evidence import Evidence
from tuning.study import trial_record as records
from tuning.study.reading import StudyRead
from tuning.study.trial_record import TrialRecord

WEIGHED = 12  # so many of the foremost trials get intervals, and the best of each model


@dataclass(frozen=True)
class Material:
    """A study as it was read.

    data: where its data are now, if they were moved. price_per_hour: of a worker, in the currency of the reader.
    """

    study: StudyRead
    data: str | None = None
    price_per_hour: float | None = None

    @cached_property
    def records(self) -> list[TrialRecord]:
        """Every trial, by number."""
        return self.study.records

    @cached_property
    def ranked(self) -> list[TrialRecord]:
        """The trials that have reached a rung and not failed, best first."""
        measured = [record for record in self.records if record.rungs and record.state != "failed"]
        return records.ranking(measured)

    @property
    def best(self) -> TrialRecord | None:
        """The first of them."""
        return self.ranked[0] if self.ranked else None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their labels."""
        return tuple(self.study.manifest.data["classes"])

    @cached_property
    def foremost_of_models(self) -> dict[str, TrialRecord]:
        """The best trial of each model, best first."""
        found: dict[str, TrialRecord] = {}
        for record in self.ranked:
            found.setdefault(record.model, record)
        return found

    def bounded(self, interval: Interval) -> Interval:
        """The interval of an objective, cut to what it can be."""
        return interval.within(0, 1) if self.study.objective.criteria[0].bounded else interval

    def lead(self, one: Evidence, other: Evidence) -> Interval:
        """By how much the objective of `one` is better than that of `other`: above 0 where it is."""
        ahead = one.objective - other.objective
        if self.study.objective.direction == "minimize":
            ahead = other.objective - one.objective
        return ahead.interval()

    @cached_property
    def evidence(self) -> dict[int, Evidence]:
        """Of the foremost trials, by number; empty where no results were kept."""
        chosen = {record.number: record for record in self.ranked[:WEIGHED]}
        chosen |= {record.number: record for record in self.foremost_of_models.values()}
        return evidence.gather(self.study, list(chosen.values()))

    @cached_property
    def there(self) -> AtRung | None:
        """The trials at the rung where they compare best."""
        return at_rung.at_rung(self.ranked, self.study.trials, self.study.objective.direction)

    @cached_property
    def importances(self) -> dict[str, float]:
        """Of the parameters, there."""
        return at_rung.importances(self.there)
