"""`python -m tuning.weights list|fetch|verify`: the published weights from which trials start, on this machine."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from trainers import model as models
from trainers.command import Parser, run
from trainers.errors import UserError
from trainers.model import PublishedWeights
from tuning.reporting.console import console_of

EXAMPLES = """\
examples:
  python -m tuning.weights list                         which models have published weights, and which of them are here
  python -m tuning.weights fetch                        all of them, before this machine loses its network
  python -m tuning.weights fetch MODEL
  python -m tuning.weights verify                       read all that were fetched, to the last value
  DETECTOR_ZOO_URL=https://mirror/zoo python -m tuning.weights fetch
                                                        from a mirror, or from a folder, of the archives

A search fetches what it needs by itself. Searches and workers of a machine share what was fetched; a download that was
cut short is gone on with. For a machine without a network, copy the folder that `list` names.
Exit code: 0, or 2 if weights cannot be had, or are damaged.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.weights",
        description="Lists, fetches or verifies the published weights from which trials start.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    line.add_argument("action", choices=("list", "fetch", "verify"))
    line.add_argument(
        "models", nargs="*", metavar="MODEL", help="default: all; to verify, all that were fetched"
    )
    line.add_argument(
        "--format", choices=("table", "json"), default="table", help="of the list (default: table)"
    )
    line.add_argument("--debug", action="store_true", help="print the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug, "stopped; what has arrived is kept")


def _main(chosen: argparse.Namespace) -> int:
    console = console_of(sys.stdout)
    found = _published(chosen.models)
    if chosen.action == "list":
        _list(found, chosen.format, console)
    elif chosen.action == "fetch":
        for name, weights in found.items():
            _fetch(name, weights, console)
    else:
        here = {name: weights for name, weights in found.items() if chosen.models or weights.folder.is_dir()}
        for name, weights in here.items():
            if not weights.folder.is_dir():
                raise UserError(f"{name}: its weights are not in {weights.folder}; fetch them first")
            weights.verify()
            _say(console, f"{name}: all values are whole, with the names and shapes that were published")
        if not here:
            _say(console, "none were fetched")
    return 0


def _published(names: Sequence[str]) -> dict[str, PublishedWeights]:
    """The published weights of the models `names`, or of all that have some."""
    found = {}
    for name in names or models.all_models():
        factory = models.get(name).published_weights
        if factory is not None:
            module, _, function = factory.partition(":")
            found[name] = getattr(importlib.import_module(module), function)(name)
        elif names:
            raise UserError(f"{name} was published without weights: it trains from scratch")
    return found


def _list(found: dict[str, PublishedWeights], form: str, console: Console) -> None:
    rows = [
        {
            "model": name,
            "fetched": weights.folder.is_dir(),
            "folder": str(weights.folder),
            "sha256": weights.sha256,
            "address": weights.address,
        }
        for name, weights in found.items()
    ]
    if form == "json":
        console.print_json(json.dumps(rows))
        return
    for row in rows:
        where = f"in {row['folder']}" if row["fetched"] else "not fetched"
        _say(console, f"{row['model']}: {where}; from {row['address']}")
        if row["sha256"]:
            _say(console, f"  SHA-256 of the archive {row['sha256']}")


def _fetch(name: str, weights: PublishedWeights, console: Console) -> None:
    bar = Progress(
        TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal, transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task(name, total=None)
        folder = weights.fetch(lambda done, total: bar.update(task, completed=done, total=total))
    _say(console, f"{name}: in {folder}")


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
