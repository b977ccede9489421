"""Learning curves: the objective by step, with the rungs and where each trial was stopped."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.objective import Objective
from tuning.reporting import style
from tuning.reporting.material import Material
from tuning.reporting.section import Chart, Section, Table, counted, listed
from tuning.study.trial_record import TrialRecord

DRAWN = 150  # curves that a chart can carry


def section(material: Material) -> Section | None:
    """The curves of every trial with a rung, or of a fair choice of many."""
    measured = [record for record in material.records if record.rungs]
    if not measured:
        return None
    name, objective = material.study.objective.name, material.study.objective
    rungs = sorted({rung.step for record in measured for rung in record.rungs})
    counts = {state: sum(record.state == state for record in measured) for state in style.STATES}
    ended = listed([f"{count:,} {state}" for state, count in counts.items() if count])
    text = [
        f"Trials were compared at {listed([f'{step:,}' for step in rungs])} steps. "
        f"Of {counted(len(measured), 'trial')}: {ended}."
    ]
    drawn = fair_choice(material.ranked, DRAWN) + [r for r in measured if r.state == "failed"][:DRAWN]
    if len(drawn) < len(measured):
        text.append(
            f"{len(drawn)} curves of {len(measured):,} are drawn: the best third of them, and an even choice of "
            "the others."
        )
    rows = [_rung(measured, step, objective) for step in rungs]
    columns = (
        "step",
        "trials there",
        "stopped there",
        f"best {name}",
        f"median {name}",
        "cutoff at the last trial",
    )
    shown = Chart(_figure(material, drawn, rungs), f"{name} of each trial by step, a mark at each rung")
    data = {
        "rungs": [
            dict(zip(("step", "trials", "stopped", "best", "median", "cutoff"), row, strict=True))
            for row in rows
        ]
    }
    table = Table(columns, [_texts(row) for row in rows])
    return Section("curves", "Learning curves", text, [table], [shown], data=data)


def fair_choice(ranked: Sequence[TrialRecord], most: int) -> list[TrialRecord]:
    """All, or the best third of `most` and the others evenly from the rest."""
    if len(ranked) <= most:
        return list(ranked)
    best = most // 3
    rest, room = ranked[best:], most - best
    return [*ranked[:best], *(rest[i * len(rest) // room] for i in range(room))]


def _rung(
    measured: Sequence[TrialRecord], step: int, objective: Objective
) -> tuple[int, int, int, float, float, float | None]:
    there = [(rung, record) for record in measured for rung in record.rungs if rung.step == step]
    stopped = sum(record.state == "pruned" and record.step == step for _, record in there)
    values = sorted(rung.value for rung, _ in there)
    best = values[0] if objective.direction == "minimize" else values[-1]
    last = max(there, key=lambda pair: pair[0].time)[0]
    return step, len(there), stopped, best, values[len(values) // 2], last.cutoff


def _texts(row: tuple[int, int, int, float, float, float | None]) -> tuple[str, ...]:
    step, there, stopped, best, median, cutoff = row
    last = "–" if cutoff is None else f"{cutoff:.3f}"
    return f"{step:,}", f"{there:,}", f"{stopped:,}", f"{best:.3f}", f"{median:.3f}", last


def _figure(material: Material, drawn: Sequence[TrialRecord], rungs: Sequence[int]) -> object:
    name = material.study.objective.name
    figure = style.figure("step", name)
    for step in rungs:
        figure.add_vline(step, line_width=1, line_dash="dot", line_color="#888")
    for state, colour in style.STATES.items():
        mine = [record for record in drawn if record.state == state and record is not material.best]
        if mine:  # one trace with gaps: hundreds of traces are slow
            _add(figure, mine, f"{state} ({len(mine)})", colour, 1.2, "x" if state == "pruned" else "circle")
    if material.best is not None:
        _add(figure, [material.best], f"trial {material.best.number}, the best", "#0072b2", 3, "circle")
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(rangemode="tozero")
    return figure


def _add(
    figure: object, trials: Sequence[TrialRecord], name: str, colour: str, width: float, end: str
) -> None:
    x: list[int | None] = []
    y: list[float | None] = []
    said: list[str] = []
    marks: list[str] = []
    for record in trials:
        for rung in record.rungs:
            x.append(rung.step)
            y.append(round(rung.value, 4))
            said.append(f"trial {record.number}: {rung.decision}, {style.text(rung.reason)}")
            marks.append(end if rung is record.rungs[-1] else "circle")
        x.append(None)
        y.append(None)
        said.append("")
        marks.append("circle")
    figure.add_scatter(  # type: ignore[attr-defined]
        x=x, y=y, text=said, name=name, mode="lines+markers", line={"color": colour, "width": width},
        marker={"symbol": marks, "size": 7}, hovertemplate="%{text}<br>step %{x}: %{y:.3f}<extra></extra>",
    )  # fmt: skip
