"""Front: of a search with several objectives, the trials that no other beats in all of them, with intervals."""

from __future__ import annotations

from tuning.reporting import style
from tuning.reporting.context import ReportContext
from tuning.reporting.section import Chart, Section, Table, with_interval
from tuning.reporting.statistics import trial_bootstrap
from tuning.reporting.statistics.bootstrap import Interval
from tuning.study import pareto
from tuning.study.trial_record import TrialRecord, in_words


def section(context: ReportContext) -> Section | None:
    """A table, and a picture for each further objective; None with one objective, or before a trial is completed."""
    objective = context.study.objective
    front = pareto.front(context.records, objective)
    if not front:
        return None
    intervals = _intervals(context, front)
    columns = ("trial", f"{objective.name} (95% interval)", *objective.also, "recipe")
    rows = [
        (
            str(each.number), with_interval(each.rungs[-1].value, intervals.get(each.number)),
            *(f"{each.rungs[-1].metrics[name]:.3g}" for name in objective.also), in_words(each.recipe),
        )
        for each in front
    ]  # fmt: skip
    all_of = " and ".join((objective.name, *objective.also))
    text = [f"No other completed trial is as good as one of these in {all_of} and better in one of them."]
    if (share := pareto.dominated_share(context.records, objective)) is not None:
        text.append(f"Their hypervolume is {share:.2f} of the box that the completed trials span.")
    if intervals:
        text.append(
            "The intervals are over the validation images: where those of two trials overlap, the cheaper one may be "
            "as good."
        )
    charts = [_chart(context, front, intervals, name) for name in objective.also]
    data = {
        "front": [
            {
                "trial": each.number,
                "value": each.value,
                **{n: each.rungs[-1].metrics[n] for n in objective.also},
            }
            for each in front
        ]
    }
    return Section("front", "What no other trial beats", text, [Table(columns, rows)], charts, data=data)


def _intervals(context: ReportContext, front: list[TrialRecord]) -> dict[int, Interval]:
    missing = [record for record in front if record.number not in context.bootstraps]
    found = context.bootstraps | trial_bootstrap.bootstrap_trials(context.study, missing)
    return {
        record.number: context.clip_interval(found[record.number].objective.interval())
        for record in front
        if record.number in found
    }


def _chart(
    context: ReportContext, front: list[TrialRecord], intervals: dict[int, Interval], name: str
) -> Chart:
    """The objective by one further objective: all completed trials, and the front with its intervals."""
    objective = context.study.objective.name
    figure = style.figure(name, objective)
    numbers = {record.number for record in front}
    others = [
        r
        for r in context.ranked
        if r.state == "completed" and r.number not in numbers and name in r.rungs[-1].metrics
    ]
    for title, records, place in (("other completed trials", others, 1), ("front", front, 0)):
        shown = sorted(records, key=lambda record: record.rungs[-1].metrics[name])
        values = [record.rungs[-1].value for record in shown]
        spans = [intervals.get(record.number) for record in shown]
        above = [span.high - value if span else 0.0 for span, value in zip(spans, values, strict=True)]
        below = [value - span.low if span else 0.0 for span, value in zip(spans, values, strict=True)]
        figure.add_scatter(
            x=[record.rungs[-1].metrics[name] for record in shown], y=values, name=title, mode="markers",
            marker={"color": style.colour(place), "size": 9},
            text=[f"trial {record.number}" for record in shown],
            error_y={"type": "data", "array": above, "arrayminus": below, "symmetric": False, "thickness": 1},
        )  # fmt: skip
    return Chart(figure, f"{objective} of the completed trials by {name}, the front with 95% intervals")
