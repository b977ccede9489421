"""The flags that say what a search may cost, and what it ends with."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuning.search.limits.budget import WORTH, parse_time


def add_budget(add: Callable[..., Any]) -> None:
    """Add the limits, --confirm, --folds and --until-converged."""
    add(
        "--trials",
        type=int,
        metavar="N",
        help="trials in all (default: the space's, 8 or 18; zoo 32; unlimited with another limit)",
    )
    add("--time", type=duration_of, metavar="2h", help="wall time, like 45m, 2h or 1h30m")
    add("--like", type=float, metavar="N", help="gradient steps, in full-length trials")
    add("--gpu-hours", type=float, metavar="N", help="GPU hours of all workers")
    add("--cost", type=float, metavar="N", help="cost of those GPU hours, at --price-per-gpu-hour")
    add("--price-per-gpu-hour", type=float, metavar="N", help="in the currency of --cost")
    add("--prices", type=Path, metavar="FILE", help="or a dated table of them by kind of GPU")
    add(
        "--confirm",
        type=int,
        default=0,
        metavar="N",
        help="spend the last N trainings of the budget on the best trials again, with other seeds",
    )
    add(
        "--folds",
        type=int,
        default=0,
        metavar="K",
        help="train the best trials again on K other splits of the images, once each (default: the best two)",
    )
    add(
        "--until-converged",
        type=float,
        nargs="?",
        const=WORTH,
        metavar="GAIN",
        help=f"end when the next training is expected to gain less of the objective (default: {WORTH:g})",
    )


def duration_of(text: str) -> float:
    """The seconds of a duration, such as `--time 2h`."""
    try:
        return parse_time(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a duration; give one like 45m, 2h or 1h30m"
        ) from None
