"""Charts of a trial of any task: its losses by step, and its metrics at each rung."""

from __future__ import annotations

import math
from pathlib import Path

from trainers.drawing.chart_style import COLOURS, chart, colour, plain
from trainers.metrics import TOTAL_LOSS
from tuning.pictures.trial import DrawnTrial

SHOWN_LINES = 8  # most lines for the metrics of a group


def losses(trial: DrawnTrial, path: Path) -> None:
    """Training and validation loss by step, in one chart."""
    figure, axes = chart(trial.title, "loss")
    steps, values = trial.training
    axes.plot(steps, values, color=COLOURS[5], linewidth=1, label="training")
    found = [(rung.step, rung.metrics.get(TOTAL_LOSS, math.nan)) for rung in trial.rungs]
    axes.plot(*zip(*found, strict=True), color=COLOURS[3], marker="o", label="validation")
    if len(values) and values.min() > 0 and values.max() > 20 * values.min():
        axes.set_yscale("log")
    axes.legend()
    figure.savefig(path)


def metrics(trial: DrawnTrial, path: Path) -> None:
    """The objective, the task's headline metrics and its first group of metrics, at each rung."""
    figure, axes = chart(trial.title, trial.objective)
    steps = [rung.step for rung in trial.rungs]
    for group in trial.task.groups(trial.classes)[:1]:
        for i, (label, name) in enumerate(list(group.metrics.items())[:SHOWN_LINES]):
            values = [_measured(rung.metrics.get(name)) for rung in trial.rungs]
            axes.plot(steps, values, color=colour(i), linewidth=1, marker=".", label=plain(label))
    axes.plot(steps, [rung.value for rung in trial.rungs], "k-o", linewidth=2, label=plain(trial.objective))
    for name in trial.task.headline:
        if name != trial.objective:
            values = [_measured(rung.metrics.get(name)) for rung in trial.rungs]
            axes.plot(steps, values, "k--", linewidth=1, label=plain(name))
    axes.legend()
    figure.savefig(path)


def _measured(value: float | None) -> float:
    return math.nan if value is None or value < 0 else value
