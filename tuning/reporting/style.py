"""The look of the charts: colours that work on white and on black, and a plain layout."""

from __future__ import annotations

import html
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

# those of Okabe and Ito's colour-blind-safe palette that are visible on white and on black (jfly.uni-koeln.de/color)
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
LOW, HIGH = "#6a9fc4", "#d55e00"
SCALE = [[0, LOW], [1, HIGH]]
STATES = {
    "completed": "#009e73",
    "pruned": "#e69f00",
    "running": "#56b4e9",
    "interrupted": "#cc79a7",
    "failed": "#d55e00",
}


def colour(index: int) -> str:
    """The colour of the series `index`; repeats after the last one."""
    return COLOURS[index % len(COLOURS)]


def between(share: float) -> str:
    """The colour between LOW (0) and HIGH (1)."""
    return str(sample_colorscale(SCALE, [min(max(share, 0.0), 1.0)])[0])


def figure(x: str, y: str) -> go.Figure:
    """An empty chart with axis titles."""
    empty = go.Figure()
    empty.update_layout(xaxis_title=x, yaxis_title=y)
    return plain(empty)


def plain(made: go.Figure) -> go.Figure:
    """No title, transparent background, legend on top, any width; the page sets the colours of its theme."""
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0}
    margin = {"l": 55, "r": 15, "t": 40, "b": 50}
    made.update_layout(template="none", title=None, autosize=True, width=None, legend=legend, margin=margin)
    made.update_layout(paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")
    made.update_xaxes(automargin=True)
    made.update_yaxes(automargin=True)
    return made


def text(value: Any) -> str:
    """Text escaped for plotly, which interprets some HTML tags."""
    return html.escape(str(value))
