"""Detectors: the models of a search side by side at equal steps, equal numbers of trials and equal time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from trainers.objective import Objective
from tuning.reporting import style
from tuning.reporting.material import Material
from tuning.reporting.section import Chart, Section, Table, number
from tuning.reporting.statistics.so_far import so_far
from tuning.search.budget import duration
from tuning.study.trial_record import TrialRecord


@dataclass(frozen=True)
class Standing:
    """What a model's trials reached.

    trials: that were measured at the first rung of all, `first`; expected: there, of the best of `draws` of them, the
        fewest that a detector has, so that more trials are no advantage, and no choice has been made yet.
    best: the objective at `last`, the highest rung that a trial of every model has reached.
    seconds: that its workers took in all; in_time: its best objective at any rung within the least such time, None
        for none.
    """

    model: str
    trials: int
    first: int
    expected: float
    draws: int
    last: int
    best: float
    seconds: float
    in_time: float | None


def section(material: Material) -> Section | None:
    """The comparison; nothing with one detector alone."""
    by_model: dict[str, list[TrialRecord]] = {}
    for record in material.ranked:
        by_model.setdefault(record.model, []).append(record)
    if len(by_model) < 2:
        return None
    found = compare(by_model, material.study.objective)
    if not found:
        return None
    least = min(each.seconds for each in found)
    draws, first, last = found[0].draws, found[0].first, found[0].last
    lower = material.study.objective.direction == "minimize"
    best_of = f"the best of {draws} trials" if draws > 1 else "a trial"
    expected, best, in_time = (_pairs(found, name, lower) for name in ("expected", "best", "in_time"))
    text = [
        f"Equal steps and trials: at {first:,} steps {best_of} of each is expected at {expected}.",
        f"Equal steps: the best of those that the search let go to {last:,} steps: {best}.",
        f"Equal time: the best at any rung within {duration(least)} of workers each: {in_time}.",
        *_difference(material, found[0].model, found[1].model),
    ]
    rows = [
        (
            each.model, str(each.trials), number(each.expected), number(each.best), duration(each.seconds),
            number(each.in_time),
        )
        for each in found
    ]  # fmt: skip
    columns = (
        "detector", "trials", f"expected best of {draws} at {first:,} steps", f"best at {last:,} steps", "time in all",
        f"best in {duration(least)}",
    )  # fmt: skip
    figure = style.figure(
        "minutes of workers spent on the detector", f"best {material.study.objective.name} so far"
    )
    for i, (name, records) in enumerate(by_model.items()):
        points = so_far(records, material.study.objective)
        figure.add_scatter(
            x=[0, *(round(p.seconds / 60, 2) for p in points)], y=[0, *(round(p.best, 4) for p in points)],
            name=name, mode="lines", line={"shape": "hv", "color": style.colour(i), "width": 2.5},
        )  # fmt: skip
    chart = Chart(
        figure, f"best {material.study.objective.name} so far of each detector by the time spent on it"
    )
    data = {"detectors": [asdict(each) for each in found]}
    return Section(
        "detectors", "Detectors at equal budgets", text, [Table(columns, rows)], [chart], data=data
    )


def compare(by_model: Mapping[str, Sequence[TrialRecord]], objective: Objective) -> list[Standing]:
    """The detectors, the best first; none where they have no rung in common. Each has a trial with a rung."""
    at = {
        name: [(rung.step, rung.value) for record in records for rung in record.rungs]
        for name, records in by_model.items()
    }
    common = set.intersection(*({step for step, _ in points} for points in at.values()))
    if not common:
        return []
    first, last = min(common), max(common)
    lower = objective.direction == "minimize"
    pick = min if lower else max
    there = {name: [value for step, value in points if step == first] for name, points in at.items()}
    draws = min(map(len, there.values()))
    spent = {name: sum(r.rungs[-1].seconds for r in records) for name, records in by_model.items()}
    least = min(spent.values())
    found = []
    for name, values in there.items():
        points = so_far(by_model[name], objective)
        in_time = pick((point.best for point in points if point.seconds <= least + 1e-6), default=None)
        best = pick(value for step, value in at[name] if step == last)
        expected = expected_best(values, draws, lower)
        found.append(Standing(name, len(values), first, expected, draws, last, best, spent[name], in_time))
    return sorted(found, key=lambda each: each.best, reverse=not lower)


def expected_best(values: Sequence[float], draws: int, lower: bool = False) -> float:
    """Of the best of so many of the values, drawn without replacement (Dodge et al., "Show Your Work", 2019)."""
    ways = math.comb(len(values), draws)
    return sum(v * math.comb(i, draws - 1) for i, v in enumerate(sorted(values, reverse=lower))) / ways


def _pairs(found: Sequence[Standing], name: str, lower: bool) -> str:
    known = [(getattr(each, name), each.model) for each in found if getattr(each, name) is not None]
    ordered = sorted(known, key=lambda pair: pair[0], reverse=not lower)
    return ", ".join(f"{value:.3f} ({model})" for value, model in ordered)


def _difference(material: Material, first: str, second: str) -> list[str]:
    one, other = material.foremost_of_models[first], material.foremost_of_models[second]
    if one.step != other.step or not {one.number, other.number} <= material.evidence.keys():
        return []
    lead = material.lead(material.evidence[one.number], material.evidence[other.number])
    worth = "more than" if lead.excludes_zero else "inside"
    return [
        f"The best trials of {first} and {second} differ by {lead.value:.3f} ({lead.low:+.3f} to {lead.high:+.3f}, "
        f"95%): {worth} the noise of the validation images. A difference of detectors needs more trials of each."
    ]
