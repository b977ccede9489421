"""`python -m search_spaces [NAME]`: prints the parameters and first trials of a search space, or lists all spaces."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

import search_spaces
from search_spaces.conditions import PRESETS, Conditions
from search_spaces.space import Space
from trainers.command import Parser, run
from trainers.recipe import InitialWeights

EXAMPLES = """\
examples:
  python -m search_spaces                                 list all spaces
  python -m search_spaces {name}                       print one of them
  python -m search_spaces all --preset zoo                print the space for long trials at 640 px from COCO weights
  python -m search_spaces {name} --weights none        print the learning rates for training from scratch
  python -m search_spaces all --format json | jq '.parameters[].name'
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser(
        prog="python -m search_spaces",
        description="Print the parameters and first trials of a search space, or list all spaces.",
        epilog=EXAMPLES.format(name=search_spaces.DETECTORS[0]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", help="space to print (default: list all spaces)")
    parser.add_argument(
        "--preset", choices=PRESETS, default="laptop", help="scale of the trials (default: %(default)s)"
    )
    parser.add_argument(
        "--weights",
        metavar="none|zoo|PATH",
        help="initial weights, on which the ranges of learning rates depend (default: the preset's)",
    )
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="output format (default: %(default)s)"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    chosen = parser.parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    weights = None if chosen.weights is None else InitialWeights(source=chosen.weights)
    names = search_spaces.names() if chosen.name is None else (chosen.name,)
    described = [_describe(search_spaces.get(name), chosen.preset, weights) for name in names]
    if chosen.format == "json":
        print(json.dumps(described if chosen.name is None else described[0], indent=2, ensure_ascii=False))
    elif chosen.name is None:
        _list(described)
    else:
        _print(described[0])
    return 0


def _describe(space: Space, preset: Any, weights: InitialWeights | None) -> dict[str, Any]:
    conditions = Conditions(steps=space.default_steps(preset), preset=preset, weights=weights)
    return {
        "space": space.name,
        "models": list(space.models),
        "preset": preset,
        "from_scratch": conditions.from_scratch,
        "steps": conditions.steps,
        "hash": space.hash(conditions),
        "parameters": [
            row.to_dict() | {"values": row.values, "condition": row.condition}
            for row in space.rows(conditions)
        ],
        "seeds": [
            {"name": seed.name, "source": seed.source, "changed": list(seed.changed), "params": seed.params}
            for seed in space.seeds(conditions)
        ],
    }


def _list(spaces: Sequence[dict[str, Any]]) -> None:
    table = Table(title=f"search spaces ({spaces[0]['preset']})")
    for header in ("space", "models", "parameters", "first trials", "steps per trial", "hash"):
        table.add_column(header, no_wrap=header in ("space", "hash"))
    for space in spaces:
        counts = (str(len(space["parameters"])), str(len(space["seeds"])), f"{space['steps']:,}")
        table.add_row(space["space"], ", ".join(space["models"]), *counts, space["hash"])
    console = Console()
    console.print(table)
    console.print("To print one of them: python -m search_spaces NAME")


def _print(space: dict[str, Any]) -> None:
    start = "from scratch" if space["from_scratch"] else "from a checkpoint"
    count = len(space["parameters"])
    console = Console()
    table = Table(
        title=f"{space['space']} ({space['preset']}, {start}): {count} parameters, hash {space['hash']}"
    )
    table.add_column("parameter", no_wrap=True)
    for header in ("values", "scale", "condition"):
        table.add_column(header)
    for row in space["parameters"]:
        table.add_row(row["name"], row["values"], row["scale"], row["condition"])
    console.print(table)
    seeds = Table(
        "recipe", "source", "changed to fit this space", title=f"first trials, {space['steps']:,} steps each"
    )
    for seed in space["seeds"]:
        seeds.add_row(seed["name"], seed["source"], "; ".join(seed["changed"]))
    console.print(seeds)


if __name__ == "__main__":
    sys.exit(main())
