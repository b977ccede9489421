"""Section: one part of a report as text, tables, charts and pictures, which every output format can render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuning.reporting.statistics.bootstrap import Interval


@dataclass(frozen=True)
class Table:
    """A table of text cells. note: a remark below it, such as how many rows were left out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A plotly figure. description: what it shows, for screen readers. small: a third of the page's width is enough."""

    figure: Any
    description: str
    small: bool = False


@dataclass(frozen=True)
class Picture:
    """A JPEG image and its caption."""

    jpeg: bytes
    caption: str


@dataclass(frozen=True)
class Section:
    """One part of a report.

    key: its name in the JSON report and in links to it. text: paragraphs. pictures: rows of pictures.
    data: the content of the section as plain values, for the JSON report.
    """

    key: str
    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    pictures: Sequence[Sequence[Picture]] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


def number(value: float | None) -> str:
    """A metric with three decimals; a dash for None and for -1 (not measured)."""
    return "–" if value is None or value < 0 else f"{value:.3f}"


def with_interval(value: float, interval: Interval | None) -> str:
    """`0.512 (0.471 to 0.553)`."""
    return number(value) + (f" ({interval.low:.3f} to {interval.high:.3f})" if interval else "")


def listed(names: Sequence[Any], most: int = 8) -> str:
    """`1, 2 and 3`; of more than `most` names the first ones, and how many more."""
    shown = [str(name) for name in names]
    if len(shown) > most:
        shown = [*shown[:most], f"{len(names) - most} more"]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1] if shown else ""


def counted(count: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
