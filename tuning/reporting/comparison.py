"""Comparison: studies side by side: how good, at what cost, and whether they may be compared at all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from search_spaces.rows import difference, from_dict
from tuning.reporting import style
from tuning.reporting.material import Material
from tuning.reporting.parts.cost import totals
from tuning.reporting.report import Report
from tuning.reporting.section import Chart, Section, Table, listed, number, with_interval
from tuning.reporting.statistics.bootstrap import Interval
from tuning.reporting.statistics.so_far import reaching, so_far
from tuning.search.budget import duration
from tuning.study.manifest import COMPARED
from tuning.study.reading import StudyRead

SHARES = (0.5, 0.8, 0.9, 1.0)  # of the worst of the studies' best results: levels that all reach
LINES = 12  # of a difference of spaces


def compare(studies: Sequence[StudyRead]) -> Report:
    """The studies, the best first."""
    materials = [Material(study) for study in studies]
    materials.sort(key=_rank, reverse=True)
    first = materials[0]
    objective = first.study.objective
    sections = [_best(materials), _levels(materials), _differences(materials)]
    headline = "No study has a result yet"
    if first.best is not None and first.best.value is not None:
        headline = f"{_name(first)} is first with {objective.name} {_of_best(first)}"
        if not same_data(materials):
            headline = "Studies of different data"
        elif not same_objective(materials):
            headline = "Studies of different objectives"
    return Report(
        study=listed([_name(each) for each in materials]),
        headline=headline,
        subtitle=f"{len(materials)} studies side by side",
        commands=(),
        generated=time.strftime("%Y-%m-%d %H:%M"),
        sections=tuple(section for section in sections if section is not None),
    )


def same_data(materials: Sequence[Material]) -> bool:
    """Whether all were measured on the same images and labels."""
    return len({each.study.manifest.data["fingerprint"] for each in materials}) == 1


def same_objective(materials: Sequence[Material]) -> bool:
    """Whether all optimise the same."""
    return len({each.study.objective.name for each in materials}) == 1


def _rank(material: Material) -> float:
    best, objective = material.best, material.study.objective
    if best is None or best.value is None:
        return float("-inf")
    return -best.value if objective.direction == "minimize" else best.value


def _best(materials: Sequence[Material]) -> Section:
    rows, data, text = [], [], []
    first = materials[0]
    same = same_data(materials) and same_objective(materials)
    for each in materials:
        best = each.best
        steps, training, overhead = totals(each.records)
        seconds = training + overhead
        lead = _lead(first, each) if same and each is not first else None
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
            what = "clearly above" if lead.excludes_zero else "above, but inside the noise of the images,"
            text.append(f"The best of {_name(first)} is {what} that of {_name(each)}.")
    if not same:
        text = [
            "These studies are of different data or objectives: their results do not rank them, and no "
            "difference is given."
        ]
    columns = (
        "study",
        "space",
        "trials",
        "best trial",
        f"its {first.study.objective.name} (95%)",
        "behind the first (95%)",
        "steps",
        "time",
    )
    return Section(
        "best",
        "The best of each",
        text,
        [Table(columns, rows)],
        data={"studies": data, "same_data": same_data(materials)},
    )


def _levels(materials: Sequence[Material]) -> Section | None:
    known = [each for each in materials if each.best is not None and each.best.value]
    if not known or not same_objective(known):
        return None
    objective = known[0].study.objective
    ends = [each.best.value or 0.0 for each in known if each.best]
    if objective.direction == "minimize":
        worst, best = max(ends), min(ends)
        wanted = [worst / share for share in SHARES]
    else:
        worst, best = min(ends), max(ends)
        wanted = [worst * share for share in SHARES]
    wanted += [best] if best != worst else []
    slack = 1e-9 if objective.direction == "minimize" else -1e-9
    levels = list({number(level): level for level in wanted}.values())  # those that read differently
    rows: list[tuple[str, ...]] = []
    data: list[dict[str, Any]] = []
    figure = style.figure("gradient steps, all trials together", f"best {objective.name} so far")
    for i, each in enumerate(known):
        points = so_far(each.records, objective)
        reached = [reaching(points, level + slack, objective) for level in levels]
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
    text = ["Gradient steps, and time of workers, until a trial had reached a level."]
    chart = Chart(figure, f"best {objective.name} so far of each study by gradient steps")
    return Section(
        "levels", "Steps and time to a level", text, [Table(columns, rows)], [chart], data={"levels": data}
    )


def _differences(materials: Sequence[Material]) -> Section:
    """What else differs: conditions, and the spaces line by line, each study against the first."""
    first = materials[0].study.manifest
    rows, text = [], []
    for name in ("space", *COMPARED):
        values = [getattr(each.study.manifest, name) for each in materials]
        if len(set(map(str, values))) > 1:
            rows.append((name.replace("_", " "), *("–" if value is None else str(value) for value in values)))
    data = [each.study.manifest.data for each in materials]
    if not same_data(materials):
        rows.append(("data", *(f"{about['name']} {about['fingerprint'][:12]}" for about in data)))
    changes: dict[str, list[str]] = {}
    for each in materials[1:]:
        old, new = ([from_dict(row) for row in about.space_rows] for about in (first, each.study.manifest))
        changes[_name(each)] = difference(old, new)
        if lines := changes[_name(each)]:
            shown = "; ".join(lines[:LINES]) + (
                f"; and {len(lines) - LINES} more" if len(lines) > LINES else ""
            )
            text.append(f"The space of {_name(each)}, beside that of {first.study}: {shown}.")
    if not rows and not text:
        text = ["Same space, same data, same conditions."]
    tables = [Table(("", *(_name(each) for each in materials)), rows)] if rows else []
    found = {"conditions": {row[0]: row[1:] for row in rows}, "spaces": changes}
    return Section("differences", "What else differs", text, tables, data=found)


def _name(material: Material) -> str:
    return material.study.manifest.study


def _interval(material: Material) -> Interval | None:
    evidence = material.best and material.evidence.get(material.best.number)
    return material.bounded(evidence.objective.interval()) if evidence else None


def _of_best(material: Material) -> str:
    best = material.best
    return "–" if best is None or best.value is None else with_interval(best.value, _interval(material))


def _lead(first: Material, other: Material) -> Interval | None:
    if first.best is None or other.best is None:
        return None
    one, two = first.evidence.get(first.best.number), other.evidence.get(other.best.number)
    if one is None or two is None or one.objective.images != two.objective.images:
        return None
    return first.lead(one, two)
