"""Limit: what `--limit` asks of the network that is served, such as `latency_ms<=20@openvino`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trainers.errors import UserError

LATENCY, SIZE = "latency_ms", "megabytes"
# what is known of a network before it is trained, smaller is better: name -> what it is
COSTS: Mapping[str, str] = {
    LATENCY: "median milliseconds for one image",
    SIZE: "size of the exported network, 10**6 bytes",
}
DEFAULT_BACKEND = "openvino"
_FORM = re.compile(r"\s*(?P<cost>\w+)\s*<=\s*(?P<most>[0-9.eE+-]+)\s*(?:@\s*(?P<on>\S+)\s*)?")
EXAMPLES = f"{LATENCY}<=20, {LATENCY}<=20@openvino, {LATENCY}<=20@jetson.csv or {SIZE}<=12"


@dataclass(frozen=True)
class Limit:
    """An upper limit on a cost of the served network.

    text: as the user wrote it, without spaces. cost: one of COSTS. most: the largest value that is allowed.
    on: for a latency, the serving backend that is timed on this machine, or the path of a table that was measured on
        another; "" for the default backend.
    """

    text: str
    cost: str
    most: float
    on: str = ""

    def excess(self, costs: Mapping[str, float]) -> float:
        """By what share of the limit these costs are above it; 0 if they are not."""
        return max(0.0, costs[self.cost] / self.most - 1)


def parse(given: Iterable[str]) -> tuple[Limit, ...]:
    """`["latency_ms<=20@openvino"]` as limits.

    Raises UserError for what is not of this form, a cost that nobody measures, one that is limited twice, or a latency
    on two backends.
    """
    found: dict[str, Limit] = {}
    for text in given:
        limit = _one(text)
        if limit.cost in found:
            raise UserError(f"--limit {text}: {limit.cost} is limited twice; give the smaller one alone")
        found[limit.cost] = limit
    return tuple(found.values())


def _one(text: str) -> Limit:
    form = _FORM.fullmatch(text)
    if form is None:
        raise UserError(f"--limit {text}: not of the form COST<=NUMBER; give one like {EXAMPLES}")
    cost, on = form["cost"], form["on"] or ""
    if cost not in COSTS:
        raise UserError(
            f"--limit {text}: nobody measures '{cost}' before training; there are {' and '.join(COSTS)}"
        )
    try:
        most = float(form["most"])
    except ValueError:
        raise UserError(
            f"--limit {text}: '{form['most']}' is not a number; give one like {EXAMPLES}"
        ) from None
    if not 0 < most < math.inf:
        raise UserError(f"--limit {text}: must be above 0, not {most:g}")
    if on and cost != LATENCY:
        raise UserError(f"--limit {text}: {cost} does not depend on a backend; leave out @{on}")
    return Limit("".join(text.split()), cost, most, on)


def check_further_objectives(names: Sequence[str]) -> None:
    """Raise UserError for a further objective (`--and`) that is not one of COSTS, or is named twice."""
    for place, name in enumerate(names):
        if name not in COSTS:
            raise UserError(
                f"--and {name}: a further objective is {' or '.join(COSTS)}; metrics of training are added up in "
                "--objective, as in 0.7*A+0.3*B"
            )
        if name in names[:place]:
            raise UserError(f"--and {name}: is given twice")
