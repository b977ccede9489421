"""Losses: training and validation loss of the best trials in one chart, and whether they overfit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trainers.metrics import TOTAL_LOSS
from tuning.reporting import style
from tuning.reporting.context import ReportContext
from tuning.reporting.section import Chart, Section, Table
from tuning.study import curves
from tuning.study.trial_record import TrialRecord

SHOWN = 4  # trials
POINTS = 200  # most points of a curve
RISE = 0.02  # the validation loss counts as rising from this share above its minimum


@dataclass(frozen=True)
class Fit:
    """How a trial's two losses developed.

    training: median training loss between its last two rungs; None if there is none. validation: validation loss at
    its last rung. least, least_step: the minimum of the validation loss, and where. says: the verdict, a sentence.
    """

    trial: int
    training: float | None
    validation: float
    least: float
    least_step: int
    says: str


def section(context: ReportContext) -> Section | None:
    """The losses of the best trials that have a validation loss; None if there are none."""
    chosen = [record for record in context.ranked if _validation(record)][:SHOWN]
    if not chosen:
        return None
    figure, fits = style.figure("step", "loss"), []
    for i, record in enumerate(chosen):
        curve = training_curve(context.study.folder / "trials" / str(record.number))
        found = _validation(record)
        stride = -(-len(curve) // POINTS) or 1
        colour, name = style.colour(i), f"trial {record.number}"
        steps, losses = [step for step, _ in curve[::stride]], [round(loss, 5) for _, loss in curve[::stride]]
        figure.add_scatter(
            x=steps, y=losses, name=name, legendgroup=name, mode="lines",
            line={"color": colour, "width": 1.3}, opacity=0.8, hovertemplate="step %{x}, training loss %{y:.3f}",
        )  # fmt: skip
        figure.add_scatter(
            x=[step for step, _ in found], y=[loss for _, loss in found], name=name, legendgroup=name,
            showlegend=False,  # both would not fit on a phone
            mode="lines+markers", line={"color": colour, "width": 2.5, "dash": "dash"}, marker={"size": 9},
            hovertemplate="step %{x}, validation loss %{y:.3f}",
        )  # fmt: skip
        fits.append(fit(record.number, curve, found))
    drawn = [loss for trace in figure.data for loss in trace.y]
    if min(drawn) > 0 and max(drawn) > 20 * min(drawn):
        figure.update_yaxes(type="log")
    rows = [_row(each) for each in fits]
    columns = ("trial", "training loss", "validation loss", "lowest validation loss", "at step")
    return Section(
        "losses",
        "Training and validation loss",
        [
            "Solid lines: training loss. Dashed lines: validation loss, measured at the rungs.",
            *(each.says for each in fits),
        ],
        [Table(columns, rows)],
        [
            Chart(
                figure, "training loss (solid lines) and validation loss at the rungs (dashed lines) by step"
            )
        ],
        data={"trials": [asdict(each) for each in fits]},
    )


def fit(trial: int, training: Sequence[tuple[int, float]], validation: Sequence[tuple[int, float]]) -> Fit:
    """Judge overfitting from (step, loss) points in ascending order of steps; `validation` has at least one."""
    step, last = validation[-1]
    before = validation[-2][0] if len(validation) > 1 else 0
    late = _median([loss for at, loss in training if before < at <= step])
    least_step, least = min(validation, key=lambda point: point[1])
    measured = Fit(trial, late, last, least, least_step, "")
    if len(validation) == 1:
        says = f"Trial {trial}: one rung only; too little to judge overfitting."
    elif last > least * (1 + RISE):
        early = _median([loss for at, loss in training if at <= least_step])
        fell = early is not None and late is not None and late < early
        cause = (
            f"while training loss fell to {late:.3f}: it overfits"
            if fell
            else "and training loss did not fall: it diverges"
        )
        says = (
            f"Trial {trial}: validation loss has risen from {least:.3f} at step {least_step:,} to {last:.3f}, {cause}. "
            + (
                "Try fewer steps, more augmentation or more weight decay."
                if fell
                else "Try a lower learning rate."
            )
        )
    elif last <= least:
        says = (
            f"Trial {trial}: no overfitting; validation loss was still falling at its last rung ({last:.3f})."
        )
    else:
        says = f"Trial {trial}: validation loss has not fallen further since step {least_step:,}; no clear overfitting."
    return Fit(**(asdict(measured) | {"says": says}))


def training_curve(trial: Path) -> list[tuple[int, float]]:
    """The (step, total training loss) points stored in the trial's folder."""
    name = "training_loss/total"
    lines = (line for _, line in curves.read(trial / "metrics.jsonl"))
    return [(line["step"], line["metrics"][name]) for line in lines if name in line["metrics"]]


def _validation(record: TrialRecord) -> list[tuple[int, float]]:
    name = TOTAL_LOSS
    return [(rung.step, rung.metrics[name]) for rung in record.rungs if name in rung.metrics]


def _median(values: Sequence[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


def _row(each: Fit) -> tuple[str, ...]:
    training = "–" if each.training is None else f"{each.training:.3f}"
    return str(each.trial), training, f"{each.validation:.3f}", f"{each.least:.3f}", f"{each.least_step:,}"
