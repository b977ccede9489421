"""Reads the costs of networks on another machine, such as a camera, from a CSV table that was measured there."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from trainers.errors import UserError
from tuning.api.deployment.architectures import Example
from tuning.search.constraints.limit import COSTS, LATENCY
from tuning.search.constraints.served_costs import Architecture, ServedCosts


def read(path: Path, examples: Sequence[Example]) -> ServedCosts:
    """The costs of the networks by the table.

    It has a column `latency_ms`, perhaps `megabytes`, and any of the networks' fields (`model`, `image_size`,
    `backbone`, ...): a row is for the networks that have its values, the first that fits a network counts.
    Raises UserError, with file and line, for a column that no network has, a value that is not a number above 0, or a
    network without a row.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            columns, rows = list(table.fieldnames or ()), list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a CSV table ({' '.join(str(error).split())})") from None
    fields = {name for each in examples for name in each.architecture.fields}
    if LATENCY not in columns:
        raise UserError(f"{path}: has no column {LATENCY}; it has {', '.join(columns) or 'none'}")
    if unknown := [name for name in columns if name not in fields | COSTS.keys()]:
        raise UserError(
            f"{path}: no network of this space has '{unknown[0]}'; columns may be {', '.join(sorted(fields | {*COSTS}))}"
        )
    costs = [
        {name: _number(row[name], path, line, name) for name in COSTS if name in columns}
        for line, row in enumerate(rows, start=2)
    ]

    def found(each: Architecture) -> Architecture:
        for row, numbers in zip(rows, costs, strict=True):
            if all(
                str(each.fields.get(name)) == (row[name] or "").strip() for name in columns if name in fields
            ):
                return dataclasses.replace(each, costs=numbers)
        raise UserError(f"{path}: has no row for {each}; add one, or leave it out with --only")

    return ServedCosts([found(each.architecture) for each in examples], f"by the table {path.name}")


def _number(text: str | None, path: Path, line: int, name: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(f"{path}:{line}: {name} must be a number above 0, not '{text or ''}'")
    return value
