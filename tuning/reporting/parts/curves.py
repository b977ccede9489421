"""Learning curves: the objective of each trial by step, with the rungs, and where trials were stopped."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.objective import Objective
from tuning.reporting import style
from tuning.reporting.context import ReportContext
from tuning.reporting.section import Chart, Section, Table, counted, listed
from tuning.study.trial_record import TrialRecord

DRAWN = 150  # most curves in the chart


def section(context: ReportContext) -> Section | None:
    """The learning curves of the trials that reached a rung, or of a sample of many; None if there are none."""
    measured = [record for record in context.records if record.rungs and record.repeats is None]
    if not measured:
        return None
    name, objective = context.study.objective.name, context.study.objective
    rungs = sorted({rung.step for record in measured for rung in record.rungs})
    counts = {state: sum(record.state == state for record in measured) for state in style.STATES}
    ended = listed([f"{count:,} {state}" for state, count in counts.items() if count])
    text = [
        f"Rungs at which trials are compared: {listed([f'{step:,}' for step in rungs])} steps. "
        f"States of {counted(len(measured), 'trial')}: {ended}."
    ]
    drawn = fair_choice(context.ranked, DRAWN) + [r for r in measured if r.state == "failed"][:DRAWN]
    if len(drawn) < len(measured):
        text.append(
            f"The chart shows {len(drawn)} of {len(measured):,} curves: a third of them are the best trials, the rest "
            "an even sample of the others."
        )
    rows = [_rung(measured, step, objective) for step in rungs]
    columns = (
        "rung (step)",
        "trials",
        "stopped",
        f"best {name}",
        f"median {name}",
        "latest cutoff",
    )
    shown = Chart(_figure(context, drawn, rungs), f"{name} of each trial by step, with a marker at each rung")
    data = {
        "rungs": [
            dict(zip(("step", "trials", "stopped", "best", "median", "cutoff"), row, strict=True))
            for row in rows
        ]
    }
    table = Table(columns, [_texts(row) for row in rows])
    return Section("curves", "Learning curves", text, [table], [shown], data=data)


def fair_choice(ranked: Sequence[TrialRecord], most: int) -> list[TrialRecord]:
    """At most `most` trials: a third of them the best ones, the others evenly spaced over the rest of the ranking."""
    if len(ranked) <= most:
        return list(ranked)
    best = most // 3
    rest, room = ranked[best:], most - best
    return [*ranked[:best], *(rest[i * len(rest) // room] for i in range(room))]


def _rung(
    measured: Sequence[TrialRecord], step: int, objective: Objective
) -> tuple[int, int, int, float, float, float | None]:
    reached = [(rung, record) for record in measured for rung in record.rungs if rung.step == step]
    stopped = sum(record.state == "pruned" and record.step == step for _, record in reached)
    values = sorted(rung.value for rung, _ in reached)
    best = values[0] if objective.direction == "minimize" else values[-1]
    last = max(reached, key=lambda pair: pair[0].time)[0]
    return step, len(reached), stopped, best, values[len(values) // 2], last.cutoff


def _texts(row: tuple[int, int, int, float, float, float | None]) -> tuple[str, ...]:
    step, trials, stopped, best, median, cutoff = row
    last = "–" if cutoff is None else f"{cutoff:.3f}"
    return f"{step:,}", f"{trials:,}", f"{stopped:,}", f"{best:.3f}", f"{median:.3f}", last


def _figure(context: ReportContext, drawn: Sequence[TrialRecord], rungs: Sequence[int]) -> object:
    name = context.study.objective.name
    figure = style.figure("step", name)
    for step in rungs:
        figure.add_vline(step, line_width=1, line_dash="dot", line_color="#888")
    for state, colour in style.STATES.items():
        mine = [record for record in drawn if record.state == state and record is not context.best]
        if mine:  # one trace with gaps, because hundreds of traces are slow
            _add(figure, mine, f"{state} ({len(mine)})", colour, 1.2, "x" if state == "pruned" else "circle")
    if context.best is not None:
        _add(figure, [context.best], f"trial {context.best.number}, the best", "#0072b2", 3, "circle")
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(rangemode="tozero")
    return figure


def _add(
    figure: object, trials: Sequence[TrialRecord], name: str, colour: str, width: float, end: str
) -> None:
    x: list[int | None] = []
    y: list[float | None] = []
    labels: list[str] = []
    marks: list[str] = []
    for record in trials:
        for rung in record.rungs:
            x.append(rung.step)
            y.append(round(rung.value, 4))
            labels.append(f"trial {record.number}: {rung.decision}, {style.text(rung.reason)}")
            marks.append(end if rung is record.rungs[-1] else "circle")
        x.append(None)
        y.append(None)
        labels.append("")
        marks.append("circle")
    figure.add_scatter(  # type: ignore[attr-defined]
        x=x, y=y, text=labels, name=name, mode="lines+markers", line={"color": colour, "width": width},
        marker={"symbol": marks, "size": 7}, hovertemplate="%{text}<br>step %{x}: %{y:.3f}<extra></extra>",
    )  # fmt: skip
