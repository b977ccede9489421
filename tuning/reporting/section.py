"""Section: one part of a report, in plain pieces that every format can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuning.reporting.statistics.bootstrap import Interval


@dataclass(frozen=True)
class Table:
    """Rows of text under column names. note: what a reader should know of it, such as what was left out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A plotly figure, and what it shows, for who cannot see it. small: a third of the page's width suits it."""

    figure: Any
    says: str
    small: bool = False


@dataclass(frozen=True)
class Picture:
    """A JPEG image, and what it shows."""

    jpeg: bytes
    says: str


@dataclass(frozen=True)
class Section:
    """One part.

    key: its name in JSON and in links. text: sentences, a paragraph each. pictures: rows of them, that belong
        together. data: the same for programs, plain values.
    """

    key: str
    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    pictures: Sequence[Sequence[Picture]] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


def number(value: float | None) -> str:
    """An AP as people write it; a dash where there is none."""
    return "–" if value is None or value < 0 else f"{value:.3f}"


def with_interval(value: float, interval: Interval | None) -> str:
    """`0.512 (0.471 to 0.553)`."""
    return number(value) + (f" ({interval.low:.3f} to {interval.high:.3f})" if interval else "")


def listed(names: Sequence[Any], most: int = 8) -> str:
    """`1, 2 and 3`; of many the first, and how many more."""
    shown = [str(name) for name in names]
    if len(shown) > most:
        shown = [*shown[:most], f"{len(names) - most} more"]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1] if shown else ""


def counted(count: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
