"""The common look of matplotlib charts: colours, text and axes."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colour-blind-safe palette (jfly.uni-koeln.de/color)
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#000000")


def colour(index: int) -> str:
    """The colour of the series `index`; repeats after the last one."""
    return COLOURS[index % len(COLOURS)]


def plain(text: str) -> str:
    """Text escaped for matplotlib, which interprets `$` as mathematics."""
    return text.replace("$", r"\$")


def chart(title: str, y: str, x: str = "step") -> tuple[Figure, Axes]:
    """An empty chart with a title and axis labels."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(plain(title), fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return figure, axes
