"""Comparison: studies side by side: their best results, their cost, and whether they are comparable."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from search_spaces.rows import difference, from_dict
from tuning.reporting import style
from tuning.reporting.context import ReportContext
from tuning.reporting.parts.cost import totals
from tuning.reporting.report import Report
from tuning.reporting.section import Chart, Section, Table, listed, number, with_interval
from tuning.reporting.statistics.best_so_far import best_so_far, first_reaching
from tuning.reporting.statistics.bootstrap import Interval
from tuning.search.limits.budget import duration
from tuning.study.manifest import COMPARED
from tuning.study.reading import StudyRead

SHARES = (0.5, 0.8, 0.9, 1.0)  # levels that all studies reach, as shares of the worst of their best results
LINES = 12  # most lines of a difference of spaces


def compare(studies: Sequence[StudyRead]) -> Report:
    """A report that compares the studies, best first."""
    contexts = [ReportContext(study) for study in _told_apart(studies)]
    contexts.sort(key=_rank, reverse=True)
    first = contexts[0]
    objective = first.study.objective
    sections = [_best(contexts), _levels(contexts), _differences(contexts)]
    headline = "No study has a result yet"
    if first.best is not None and first.best.value is not None:
        headline = f"{_name(first)} is first with {objective.name} {_of_best(first)}"
        if not same_data(contexts):
            headline = "Not comparable: the studies use different data"
        elif not same_objective(contexts):
            headline = "Not comparable: the studies have different objectives"
    return Report(
        study=listed([_name(each) for each in contexts]),
        headline=headline,
        subtitle=f"{len(contexts)} studies side by side",
        commands=(),
        generated=time.strftime("%Y-%m-%d %H:%M"),
        sections=tuple(section for section in sections if section is not None),
    )


def _told_apart(studies: Sequence[StudyRead]) -> list[StudyRead]:
    """The studies; those of the same name, in several folders of studies, by the name of their folder."""
    names = Counter(study.manifest.study for study in studies)
    return [
        study
        if names[study.manifest.study] == 1
        else replace(study, manifest=replace(study.manifest, study=str(study.folder)))
        for study in studies
    ]


def same_data(contexts: Sequence[ReportContext]) -> bool:
    """Whether all studies use the same images and labels."""
    return len({each.study.manifest.data["fingerprint"] for each in contexts}) == 1


def same_objective(contexts: Sequence[ReportContext]) -> bool:
    """Whether all studies have the same objective."""
    return len({each.study.objective.name for each in contexts}) == 1


def _rank(context: ReportContext) -> float:
    best, objective = context.best, context.study.objective
    if best is None or best.value is None:
        return float("-inf")
    return -best.value if objective.direction == "minimize" else best.value


def _best(contexts: Sequence[ReportContext]) -> Section:
    rows, data, text = [], [], []
    first = contexts[0]
    same = same_data(contexts) and same_objective(contexts)
    among = sum(len(each.rivals(each.best)) for each in contexts if each.best)
    for each in contexts:
        best = each.best
        steps, training, overhead = totals(each.records)
        seconds = training + overhead
        lead = _lead(first, each, among) if same and each is not first else None
        rows.append(
            (
                _name(each), each.study.manifest.space, str(len(each.records)),
                "–" if best is None else f"{best.number}, {best.step:,} steps", _of_best(each),
                "–" if lead is None else f"{lead.value:.3f} ({lead.low:+.3f} to {lead.high:+.3f})",
                f"{steps:,}", duration(seconds),
            )
        )  # fmt: skip
        data.append({
            "study": _name(each), "space": each.study.manifest.space, "trials": len(each.records),
            "best": best and best.number, "objective": each.study.objective.name, "value": best and best.value,
            "interval": _interval(each), "lead": lead,
            "steps": steps, "seconds": seconds, "fingerprint": each.study.manifest.data["fingerprint"],
        })  # fmt: skip
        if lead is not None:
            what = (
                "significantly better than"
                if lead.excludes_zero
                else "not significantly better, on these validation images, than"
            )
            text.append(f"The best trial of {_name(first)} is {what} that of {_name(each)}.")
    if not same:
        text = [
            "The studies use different data or objectives, so their results cannot be ranked, and no differences are "
            "given."
        ]
    columns = (
        "study",
        "space",
        "trials",
        "best trial",
        f"{first.study.objective.name} (95% interval)",
        "behind the first (95% interval)",
        "steps",
        "time",
    )
    return Section(
        "best",
        "Best trial of each study",
        text,
        [Table(columns, rows)],
        data={"studies": data, "same_data": same_data(contexts)},
    )


def _levels(contexts: Sequence[ReportContext]) -> Section | None:
    measured = [each for each in contexts if each.best is not None and each.best.value]
    if not measured or not same_objective(measured):
        return None
    objective = measured[0].study.objective
    ends = [each.best.value or 0.0 for each in measured if each.best]
    if objective.direction == "minimize":
        worst, best = max(ends), min(ends)
        wanted = [worst / share for share in SHARES]
    else:
        worst, best = min(ends), max(ends)
        wanted = [worst * share for share in SHARES]
    wanted += [best] if best != worst else []
    slack = 1e-9 if objective.direction == "minimize" else -1e-9
    levels = list({number(level): level for level in wanted}.values())  # without those that print the same
    rows: list[tuple[str, ...]] = []
    data: list[dict[str, Any]] = []
    figure = style.figure("gradient steps of all trials together", f"best {objective.name} so far")
    for i, each in enumerate(measured):
        points = best_so_far(each.records, objective)
        reached = [first_reaching(points, level + slack, objective) for level in levels]
        cells = [f"{point.steps:,} ({duration(point.seconds)})" if point else "never" for point in reached]
        rows.append((_name(each), *cells))
        data += [
            {
                "study": _name(each),
                "level": level,
                **(point._asdict() if point else {"steps": None, "seconds": None}),
            }
            for level, point in zip(levels, reached, strict=True)
        ]
        figure.add_scatter(
            x=[0, *(point.steps for point in points)], y=[0, *(round(point.best, 4) for point in points)],
            name=style.text(_name(each)), mode="lines", line={"shape": "hv", "color": style.colour(i), "width": 2.5},
        )  # fmt: skip
    columns = ("study", *(f"to {objective.name} {number(level)}" for level in levels))
    text = [
        f"Gradient steps (and worker time) of all trials until the first of them reached a level of {objective.name}."
    ]
    chart = Chart(figure, f"best {objective.name} so far of each study by gradient steps")
    return Section(
        "levels",
        "Steps and time to reach a level",
        text,
        [Table(columns, rows)],
        [chart],
        data={"levels": data},
    )


def _differences(contexts: Sequence[ReportContext]) -> Section:
    """Other differences: conditions, and the spaces parameter by parameter, each study against the first."""
    first = contexts[0].study.manifest
    rows, text = [], []
    for name in ("space", *COMPARED):
        values = [getattr(each.study.manifest, name) for each in contexts]
        if len(set(map(str, values))) > 1:
            rows.append((name.replace("_", " "), *("–" if value is None else str(value) for value in values)))
    data = [each.study.manifest.data for each in contexts]
    if not same_data(contexts):
        rows.append(("data", *(f"{about['name']} {about['fingerprint'][:12]}" for about in data)))
    changes: dict[str, list[str]] = {}
    for each in contexts[1:]:
        old, new = ([from_dict(row) for row in about.space_rows] for about in (first, each.study.manifest))
        changes[_name(each)] = difference(old, new)
        if lines := changes[_name(each)]:
            shown = "; ".join(lines[:LINES]) + (
                f"; and {len(lines) - LINES} more" if len(lines) > LINES else ""
            )
            text.append(
                f"Space of {_name(each)}, compared with {first.study} (+ new, - gone, ~ changed): {shown}."
            )
    if not rows and not text:
        text = ["The studies have the same space, data and conditions."]
    tables = [Table(("", *(_name(each) for each in contexts)), rows)] if rows else []
    found = {"conditions": {row[0]: row[1:] for row in rows}, "spaces": changes}
    return Section("differences", "Other differences", text, tables, data=found)


def _name(context: ReportContext) -> str:
    return context.study.manifest.study


def _interval(context: ReportContext) -> Interval | None:
    bootstrap = context.best and context.bootstraps.get(context.best.number)
    return context.clip_interval(bootstrap.objective.interval()) if bootstrap else None


def _of_best(context: ReportContext) -> str:
    best = context.best
    return "–" if best is None or best.value is None else with_interval(best.value, _interval(context))


def _lead(first: ReportContext, other: ReportContext, among: int) -> Interval | None:
    if first.best is None or other.best is None:
        return None
    one, two = first.bootstraps.get(first.best.number), other.bootstraps.get(other.best.number)
    if one is None or two is None or one.objective.images != two.objective.images:
        return None
    return first.lead(one, two, among)
