"""What the confirmation of a search has found: its best trials, trained again with other seeds, or on other splits.

With other seeds, the winner is the trial with the best mean over all its trainings, the first included: whatever made it
a finalist, that is the best guess. Everything else that is said comes from the repeats alone: the first training was
chosen because its score was high, so it is too high on average.
On folds, the winner is the trial with the best mean over them.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainers.objective import Objective
from tuning.study import trial_record
from tuning.study.trial_record import TrialRecord


@dataclass(frozen=True)
class Finalist:
    """A trial that was trained again.

    first: its objective in the search. again: that of its repeats. mean: of all of them; of the repeats, on folds.
    behind: by how much the winner's repeats are better on average than its own, as a 95% interval for all finalists
        together (Tukey's test; on folds `_behind_on_folds`). None for the winner, and with fewer than two repeats each.
    """

    trial: int
    first: float
    again: tuple[float, ...]
    mean: float
    behind: tuple[float, float] | None = None


@dataclass(frozen=True)
class Confirmed:
    """The finalists, the winner first.

    spread: the standard deviation between trainings of one recipe; None where none has two repeats.
    folds: into how many the images were split; 0 for repeats with other seeds alone.
    """

    finalists: tuple[Finalist, ...]
    spread: float | None
    folds: int = 0

    @property
    def other(self) -> str:
        """What is another one in each repeat, for people."""
        return "split" if self.folds else "seed"

    @property
    def beyond_chance(self) -> bool:
        """Whether the winner is better than every other finalist by more than another seed, or split, may move."""
        others = self.finalists[1:]
        return bool(others) and all(each.behind is not None and each.behind[0] > 0 for each in others)

    def lines(self, name: str) -> list[str]:
        """For people. name: of the objective."""
        found = []
        for each in self.finalists:
            again = ", ".join(f"{value:.3f}" for value in each.again)
            line = f"trial {each.trial}: {name} {each.mean:.3f} on average; {each.first:.3f}, again {again}"
            if self.folds:
                line = (
                    f"trial {each.trial}: {name} {each.mean:.3f} on average of folds, {again}; {each.first:.3f} "
                    "in the search"
                )
            if each.behind is not None:
                line += f"; behind by {each.behind[0]:+.3f} to {each.behind[1]:+.3f} (95%, all finalists together)"
            found.append(line)
        if self.spread is not None:
            found.append(f"another {self.other} moves {name} by {self.spread:.3f} (standard deviation)")
        if len(self.finalists) > 1:
            verdict = (
                f"is better beyond what a {self.other} moves"
                if self.beyond_chance
                else "may be no better than the others"
            )
            found.append(f"trial {self.finalists[0].trial} {verdict}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as summary.json holds them."""
        rows = [
            {"trial": f.trial, "first": f.first, "again": list(f.again), "mean": f.mean,
             "behind": None if f.behind is None else list(f.behind)}
            for f in self.finalists
        ]  # fmt: skip
        return {
            "finalists": rows, "spread": self.spread, "beyond_chance": self.beyond_chance, "folds": self.folds,
        }  # fmt: skip


def confirmed(records: Sequence[TrialRecord], objective: Objective) -> Confirmed | None:
    """What the repeats of a study say; None if no trial was trained again."""
    sign = -1.0 if objective.direction == "minimize" else 1.0
    if folded := trial_record.cross_validated(records):
        return _on_folds(records, folded, sign)
    trainings = trial_record.repeated(records)
    if not trainings:
        return None
    order = [record.number for record in trial_record.ranking(records) if record.number in trainings]
    values = {number: [record.rungs[-1].value for record in trainings[number]] for number in order}
    again = [values[number][1:] for number in order]
    behind = _behind(again, sign)
    finalists = tuple(
        Finalist(
            number, values[number][0], tuple(values[number][1:]), statistics.fmean(values[number]), interval
        )
        for number, interval in zip(order, behind, strict=True)
    )
    return Confirmed(finalists, _spread(again))


def _on_folds(
    records: Sequence[TrialRecord], folded: Mapping[int, Sequence[TrialRecord]], sign: float
) -> Confirmed:
    first = {record.number: record.value or 0.0 for record in records if record.number in folded}
    order = [record.number for record in trial_record.ranking(records) if record.number in folded]
    again = [tuple(record.rungs[-1].value for record in folded[number]) for number in order]
    (some, *_), *_ = folded.values()
    assert some.fold is not None
    behind = _behind_on_folds(again, some.fold.of, sign)
    finalists = tuple(
        Finalist(number, first[number], values, statistics.fmean(values), interval)
        for number, values, interval in zip(order, again, behind, strict=True)
    )
    return Confirmed(finalists, _spread(again), some.fold.of)


def _behind_on_folds(
    again: Sequence[Sequence[float]], folds: int, sign: float
) -> list[tuple[float, float] | None]:
    """For each finalist the interval of the winner's lead over it, from the differences on the same fold.

    The training parts of two folds share most of their images, so that the differences are not independent: their
    variance is multiplied by 1/n + 1/(folds - 1) instead of 1/n, where n are measured and the second term is the ratio
    of a fold's images for validation to those for training: the corrected resampled t-test (Nadeau and Bengio 2003,
    Inference for the generalization error, Machine Learning 52, section 5.3). Bonferroni's rule allows for all pairs
    of finalists, since the winner is chosen by the same values.
    """
    measured = len(again[0])
    if len(again) < 2 or measured < 2:
        return [None] * len(again)
    from scipy.stats import t

    quantile = float(t.ppf(1 - 0.025 / math.comb(len(again), 2), measured - 1))
    found: list[tuple[float, float] | None] = [None]
    for values in again[1:]:
        leads = [sign * (best - own) for best, own in zip(again[0], values, strict=True)]
        half = quantile * statistics.stdev(leads) * math.sqrt(1 / measured + 1 / (folds - 1))
        found.append((statistics.fmean(leads) - half, statistics.fmean(leads) + half))
    return found


def _behind(again: Sequence[Sequence[float]], sign: float) -> list[tuple[float, float] | None]:
    """For each finalist the interval of the winner's lead over it. sign: 1 where larger is better, otherwise -1.

    By the method of Tukey and Kramer, which allows for all pairs of finalists.
    """
    spread = _spread(again)
    if len(again) < 2 or min(map(len, again)) < 2 or spread is None:
        return [None] * len(again)
    range_ = _studentized_range(len(again), sum(len(values) - 1 for values in again))
    found: list[tuple[float, float] | None] = [None]
    for values in again[1:]:
        lead = sign * (statistics.fmean(again[0]) - statistics.fmean(values))
        half = range_ * spread * math.sqrt((1 / len(again[0]) + 1 / len(values)) / 2)
        found.append((lead - half, lead + half))
    return found


@functools.lru_cache
def _studentized_range(groups: int, freedom: int) -> float:
    """The 95% quantile: it takes half a second."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(0.95, groups, freedom))


def _spread(again: Sequence[Sequence[float]]) -> float | None:
    """The pooled standard deviation of the repeats of one recipe; None where no recipe has two."""
    freedom = sum(len(values) - 1 for values in again)
    if not freedom:
        return None
    squares = sum((value - statistics.fmean(values)) ** 2 for values in again for value in values)
    return math.sqrt(squares / freedom)
