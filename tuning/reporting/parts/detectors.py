"""Detectors: compares the models of a search at equal steps, at equal numbers of trials and in equal time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from trainers.objective import Objective
from tuning.reporting import style
from tuning.reporting.context import ReportContext
from tuning.reporting.section import Chart, Section, Table, number
from tuning.reporting.statistics.best_so_far import best_so_far
from tuning.search.limits.budget import duration
from tuning.study.trial_record import TrialRecord


@dataclass(frozen=True)
class ModelResult:
    """The results of one model's trials.

    first: the first rung that all models reached, and at which a trial is above chance, in steps. trials: number of
        trials measured there.
    draws: the smallest such number of all models. expected: the expected best objective of `draws` trials at `first`,
        so that a model with more trials has no advantage.
    last: the highest rung that all models reached. best: the best objective there.
    seconds: time of workers that the model's trials took. in_time: its best objective at any rung within the smallest
        such time of all models; None if none was above chance by then.
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


def section(context: ReportContext) -> Section | None:
    """The comparison; None for a single model, or without a rung that all models reached with a result above chance."""
    by_model: dict[str, list[TrialRecord]] = {}
    for record in context.ranked:
        by_model.setdefault(record.model, []).append(record)
    if len(by_model) < 2:
        return None
    found = compare(by_model, context.study.objective)
    if not found:
        return None
    least = min(each.seconds for each in found)
    draws, first, last = found[0].draws, found[0].first, found[0].last
    lower = context.study.objective.direction == "minimize"
    best_of = f"expected best {{}} of {draws} trials" if draws > 1 else "expected {} of one trial"
    name = context.study.objective.name
    expected, best, in_time = (_pairs(found, field, lower) for field in ("expected", "best", "in_time"))
    text = [
        f"With equal steps and numbers of trials, {best_of.format(name)} per detector at {first:,} steps: {expected}.",
        f"With equal steps, best {name} among the trials that the search continued to {last:,} steps: {best}.",
        f"With equal time, best {name} at any rung within {duration(least)} of worker time per model: {in_time}.",
        *_difference(context, found[0].model, found[1].model),
    ]
    rows = [
        (
            each.model, str(each.trials), number(each.expected), number(each.best), duration(each.seconds),
            number(each.in_time),
        )
        for each in found
    ]  # fmt: skip
    columns = (
        "model", "trials", f"expected best of {draws} at {first:,} steps", f"best at {last:,} steps", "total time",
        f"best within {duration(least)}",
    )  # fmt: skip
    figure = style.figure("worker time spent on the model, minutes", f"best {name} so far")
    for i, (model, records) in enumerate(by_model.items()):
        points = best_so_far(records, context.study.objective)
        figure.add_scatter(
            x=[0, *(round(p.seconds / 60, 2) for p in points)], y=[0, *(round(p.best, 4) for p in points)],
            name=model, mode="lines", line={"shape": "hv", "color": style.colour(i), "width": 2.5},
        )  # fmt: skip
    chart = Chart(figure, f"best {name} so far of each model by the worker time spent on it")
    data = {"detectors": [asdict(each) for each in found]}
    return Section("detectors", "Models at equal budgets", text, [Table(columns, rows)], [chart], data=data)


def compare(by_model: Mapping[str, Sequence[TrialRecord]], objective: Objective) -> list[ModelResult]:
    """The models' results, best first; empty if all models reached no rung at which a trial is above chance.

    by_model: trials that reached a rung.
    """
    at = {
        name: [(rung.step, rung.value) for record in records for rung in record.rungs]
        for name, records in by_model.items()
    }
    told = {step for points in at.values() for step, value in points if objective.above_chance(value)}
    common = told.intersection(*({step for step, _ in points} for points in at.values()))
    if not common:
        return []
    first, last = min(common), max(common)
    lower = objective.direction == "minimize"
    pick = min if lower else max
    at_first = {name: [value for step, value in points if step == first] for name, points in at.items()}
    draws = min(map(len, at_first.values()))
    spent = {name: sum(r.rungs[-1].seconds for r in records) for name, records in by_model.items()}
    least = min(spent.values())
    found = []
    for name, values in at_first.items():
        points = best_so_far(by_model[name], objective)
        values_in_time = (point.best for point in points if point.seconds <= least + 1e-6)
        in_time = pick(filter(objective.above_chance, values_in_time), default=None)
        best = pick(value for step, value in at[name] if step == last)
        expected = expected_best(values, draws, lower)
        found.append(ModelResult(name, len(values), first, expected, draws, last, best, spent[name], in_time))
    return sorted(found, key=lambda each: each.best, reverse=not lower)


def expected_best(values: Sequence[float], draws: int, lower: bool = False) -> float:
    """The expected best of `draws` values drawn without replacement (Dodge et al., "Show Your Work", 2019)."""
    ways = math.comb(len(values), draws)
    return sum(v * math.comb(i, draws - 1) for i, v in enumerate(sorted(values, reverse=lower))) / ways


def _pairs(found: Sequence[ModelResult], name: str, lower: bool) -> str:
    measured = [(getattr(each, name), each.model) for each in found if getattr(each, name) is not None]
    ordered = sorted(measured, key=lambda pair: pair[0], reverse=not lower)
    return ", ".join(f"{value:.3f} ({model})" for value, model in ordered)


def _difference(context: ReportContext, first: str, second: str) -> list[str]:
    lead = context.lead_over(context.best_by_model[first], context.best_by_model[second])
    if lead is None:
        return []
    verdict = "significant" if lead.excludes_zero else "not significant"
    return [
        f"The best trials of {first} and {second} differ by {lead.value:.3f} (95% interval {lead.low:+.3f} to "
        f"{lead.high:+.3f}): {verdict} on these validation images. To rank the models themselves takes more trials "
        "of each."
    ]
