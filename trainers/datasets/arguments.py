"""Checks the arguments of the Python API. A wrong type or value raises UserError with one line."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from typing import Any

from trainers.datasets import formats
from trainers.datasets.formats.format import Reading
from trainers.errors import UserError

PathLike = str | os.PathLike[str]


def source_name(source: object) -> str:
    """A source as text: a path, `s3://bucket/prefix` or `toy-city`."""
    name = _path_text(source)
    if not name:
        raise UserError(f"source: expected a path, s3://bucket/prefix or toy-city, got {_shown(source)}")
    return name


def folder(argument: str, value: object) -> Path:
    """A path given as text or as a path object; `argument` is its name in error messages."""
    name = _path_text(value)
    if not name:
        raise UserError(f"{argument}: expected the path of a folder, got {_shown(value)}")
    return Path(name)


def share(argument: str, value: object) -> float:
    """A fraction above 0 and at most 1."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) <= 1:
        raise UserError(f"{argument}: expected a number above 0 and at most 1, got {_shown(value)}")
    return float(value)


def text(argument: str, value: object) -> str:
    """A string."""
    if not isinstance(value, str):
        raise UserError(f"{argument}: expected a string, got {_shown(value)}")
    return value


def reading(format: object, group_by: object) -> Reading:
    """How a source is to be read: the name of a format, and a regular expression; None for either to leave it open."""
    if format is not None:
        formats.named(text("format", format))
    if group_by is None:
        return Reading(text("format", format) if format is not None else None)
    try:
        pattern = re.compile(text("group_by", group_by))
    except re.error as error:
        raise UserError(f"--group-by {group_by!r}: not a regular expression: {error}") from None
    return Reading(text("format", format) if format is not None else None, pattern)


def add_reading_flags(add: Callable[..., argparse.Action]) -> None:
    """The flags --format and --group-by, by the `add_argument` of a parser or a group."""
    add("--format", metavar="FORMAT", help="format to read, if there are several in the data")
    add(
        "--group-by",
        metavar="REGEX",
        help="keep images together whose names match the same text, or first group, when the data are split",
    )


def callback(argument: str, value: object) -> Callable[[Any], None]:
    """A function of one argument; None becomes one that does nothing."""
    if value is None:
        return lambda _: None
    if not callable(value):
        raise UserError(f"{argument}: expected a function or None, got {_shown(value)}")
    return value


def _path_text(value: object) -> str:
    """A path as text; "" if it is not one."""
    name = os.fspath(value) if isinstance(value, str | os.PathLike) else ""
    return name if isinstance(name, str) else ""


def _shown(value: object) -> str:
    return f"{value!r:.60} ({type(value).__name__})"
