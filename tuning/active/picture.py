"""The picture of a simulation: the metric against labelled images, with 95% bands, as PNG."""

from __future__ import annotations

import io

import numpy as np

from trainers.drawing.chart_style import chart, colour, plain
from tuning.active.curves import Curves, interval


def draw(curves: Curves, title: str, metric: str) -> bytes:
    """A PNG of 800 x 500 pixels."""
    figure, axes = chart(title, metric, "labelled images")
    for place, (name, values) in enumerate(curves.values.items()):
        axes.plot(curves.labels, values.mean(axis=0), color=colour(place), marker="o", label=plain(name))
        if low_high := band(values):
            axes.fill_between(curves.labels, *low_high, color=colour(place), alpha=0.2, linewidth=0)
    axes.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def band(values: np.ndarray) -> tuple[list[float], list[float]] | None:
    """The ends of the 95% interval of the mean over seeds at each number of labels, 0 to 1; None for one seed.

    values: (S, N), 0 to 1.
    """
    found = [each.clip(0, 1) for column in values.T if (each := interval(column)) is not None]
    return ([each.low for each in found], [each.high for each in found]) if found else None
