"""How charts drawn by matplotlib look: colours, text and axes that all of them share."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with colour blindness tell apart (jfly.uni-koeln.de/color)
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#000000")


def colour(index: int) -> str:
    """The same for the same index."""
    return COLOURS[index % len(COLOURS)]


def plain(text: str) -> str:
    """Text as matplotlib writes it literally, without formulas."""
    return text.replace("$", r"\$")


def chart(title: str, y: str, x: str = "step") -> tuple[Figure, Axes]:
    """An empty chart with a title and named axes."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(plain(title), fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return figure, axes
