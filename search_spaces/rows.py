"""Row: one parameter of a space, its values and its condition. A space is printed, hashed and compared by its rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


@dataclass(frozen=True)
class Row:
    """One parameter of a space.

    name: its name in Optuna. distribution: its Optuna distribution.
    when: (parameter, values) pairs; the parameter is suggested only if each of these parameters has one of its values.
        Only direct conditions are listed: a condition's parameter has its own.
    """

    name: str
    distribution: BaseDistribution
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    @property
    def values(self) -> str:
        """The values as text: `0.0005 to 0.05`, or `adam, momentum`."""
        if isinstance(self.distribution, CategoricalDistribution):
            return ", ".join(map(_shown, self.distribution.choices))
        assert isinstance(self.distribution, FloatDistribution | IntDistribution)
        return f"{self.distribution.low:g} to {self.distribution.high:g}"

    @property
    def scale(self) -> str:
        """`choice`, `log`, `linear`, `whole` (integers) or `whole log`."""
        if isinstance(self.distribution, CategoricalDistribution):
            return "choice"
        assert isinstance(self.distribution, FloatDistribution | IntDistribution)
        whole = isinstance(self.distribution, IntDistribution)
        return (
            ("whole log" if whole else "log") if self.distribution.log else ("whole" if whole else "linear")
        )

    @property
    def condition(self) -> str:
        """The condition as text: `optimizer is adam`; empty for an unconditional parameter."""
        return " and ".join(f"{name} is {' or '.join(map(_shown, values))}" for name, values in self.when)

    def to_dict(self) -> dict[str, Any]:
        """JSON values: the input of `from_dict`, and of the space's hash."""
        if isinstance(self.distribution, CategoricalDistribution):
            values: dict[str, Any] = {"choices": list(self.distribution.choices)}
        else:
            assert isinstance(self.distribution, FloatDistribution | IntDistribution)
            values = {"low": self.distribution.low, "high": self.distribution.high}
        return {
            "name": self.name,
            "scale": self.scale,
            **values,
            "when": {name: list(values) for name, values in self.when},
        }


def from_dict(fields: dict[str, Any]) -> Row:
    """The row that `Row.to_dict` returned."""
    scale, log = fields["scale"], "log" in fields["scale"]
    distribution: BaseDistribution
    if scale == "choice":
        distribution = CategoricalDistribution(fields["choices"])
    elif scale.startswith("whole"):
        distribution = IntDistribution(fields["low"], fields["high"], log=log)
    else:
        distribution = FloatDistribution(fields["low"], fields["high"], log=log)
    when = tuple((name, tuple(values)) for name, values in fields["when"].items())
    return Row(fields["name"], distribution, when)


def fingerprint(rows: Sequence[Row]) -> str:
    """Hash of the rows, twelve hexadecimal digits; independent of their order and of the machine."""
    plain = sorted((row.to_dict() for row in rows), key=lambda fields: str(fields["name"]))
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def difference(old: Sequence[Row], new: Sequence[Row]) -> list[str]:
    """One line per parameter that was added (+), removed (-) or changed (~); empty if the hashes are equal."""
    before, after = {row.name: row for row in old}, {row.name: row for row in new}
    lines = [f"- {_line(row)}" for name, row in before.items() if name not in after]
    for name, row in after.items():
        if name not in before:
            lines.append(f"+ {_line(row)}")
        elif before[name].to_dict() != row.to_dict():
            lines.append(f"~ {_line(before[name])} → {_line(row).removeprefix(name + ': ')}")
    return lines


def _line(row: Row) -> str:
    return f"{row.name}: {row.values} ({row.scale})" + (f" when {row.condition}" if row.when else "")


def _shown(choice: Any) -> str:
    return {True: "on", False: "off"}[choice] if isinstance(choice, bool) else str(choice)
