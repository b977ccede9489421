"""`python -m trainers.datasets check|describe|convert`: the commands for labelled images.

They parse arguments, call the functions of the same names in `trainers.datasets`, and print.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from trainers import datasets
from trainers.command import Parser, run
from trainers.datasets import arguments, formats
from trainers.datasets.opening import DEFAULT_CACHE
from trainers.datasets.problems import LIMIT, Examples, Problem
from trainers.datasets.splits.subsetting import parse_share
from trainers.errors import UserError

_PROGRAM = "python -m trainers.datasets"
_SOURCE = "path, s3://bucket/prefix or toy-city"
_EXAMPLES = {
    "": ("check photos/", "describe photos/ --html page.html", "convert photos/ records/"),
    "check": ("check photos/", "check annotations/instances_train.json", "check s3://bucket/photos"),
    "describe": ("describe photos/", "describe photos/ --html page.html", "describe toy-city:night=1 --json"),
    "convert": (
        "convert photos/ records/",
        "convert photos/ photos-coco/ --to coco",
        "convert s3://bucket/photos small/ --subset 10%",
    ),
}


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    line = Parser(
        prog=_PROGRAM,
        description="Check, describe and convert labelled images.",
        epilog=_epilog(""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    line.add_argument("--debug", action="store_true", help="show a traceback on errors")
    commands = line.add_subparsers(dest="command", required=True, title="commands", metavar="COMMAND")

    check = _command(
        commands,
        "check",
        "list every problem in labels and images",
        "List every problem in the labels and images of SRC, with file and line, without writing anything.\n"
        f"Exits with 2 if training would refuse SRC: an undeclared class, or problems in more than {LIMIT:.0%} of\n"
        "its images.",
    )
    check.add_argument("source", metavar="SRC", help=_SOURCE)
    check.add_argument("--all", action="store_true", help="every problem, not three of each kind")
    _add_reading(check)

    describe = _command(
        commands,
        "describe",
        "count images, boxes and classes",
        "Count the images and boxes of SRC by part, class, size and aspect ratio, and find duplicate images.",
    )
    describe.add_argument("source", metavar="SRC", help=_SOURCE)
    _add_reading(describe)
    output = describe.add_argument_group("output")
    output.add_argument("--html", type=Path, metavar="FILE", help="also write a page with sample images")
    output.add_argument("--json", action="store_true", help="print JSON instead of tables")
    storage = describe.add_argument_group("storage")
    storage.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        default=DEFAULT_CACHE,
        help="converted images (default: %(default)s)",
    )

    convert = _command(
        commands,
        "convert",
        "write TFRecord files or another format",
        "Check SRC and write it to the new folder DST.",
    )
    convert.add_argument("source", metavar="SRC", help=_SOURCE)
    convert.add_argument("target", metavar="DST", type=Path, help="folder to create; must not exist yet")
    _add_reading(convert)
    written = convert.add_argument_group("what to write")
    written.add_argument("--to", default="tfrecord", metavar="FORMAT", help="format (default: %(default)s)")
    written.add_argument(
        "--subset", default="100%", metavar="SHARE", help="share of the training images, such as 10%%"
    )
    return line


def _add_reading(command: argparse.ArgumentParser) -> None:
    arguments.add_reading_flags(command.add_argument_group("how to read SRC").add_argument)


def _command(
    commands: argparse._SubParsersAction[Parser], name: str, help_: str, description: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=help_,
        description=description,
        epilog=_epilog(name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _epilog(command: str) -> str:
    known = ", ".join(formats.MODULES)
    examples = "\n".join(f"  {_PROGRAM} {example}" for example in _EXAMPLES[command])
    return f"formats: {known}\n\nexamples:\n{examples}"


def _log(message: str) -> None:
    print(message, file=sys.stderr)


def _convert(source: str, target: Path, to: str, share: float, reading: dict[str, str | None]) -> None:
    done = datasets.convert(source, to, target, subset=share, on_progress=_log, **reading)
    for note in done.notes:
        print(f"note: {note}")
    counts = ", ".join(f"{images} {part}" for part, images in done.images.items())
    classes = f"{len(done.classes)} class{'es' if len(done.classes) > 1 else ''}"
    print(f"{target}: {counts} images, {classes}, fingerprint {done.fingerprint[:12]}")


def _describe(
    source: str, page: Path | None, as_json: bool, cache: Path, reading: dict[str, str | None]
) -> None:
    # imported here: tables and pages are slow to import, and `convert` does not need them
    from rich.console import Console

    from trainers.datasets.cache import disk_errors_as_user_errors
    from trainers.datasets.description.page import write_page
    from trainers.datasets.description.table import show

    if page and (page.is_dir() or not page.absolute().parent.is_dir()):
        raise UserError(f"--html {page}: expected a file name in an existing folder")
    described = datasets.describe(source, cache, on_progress=_log, **reading)
    if as_json:
        print(json.dumps(described.to_dict(), indent=1, ensure_ascii=False))
    else:
        width = None if sys.stdout.isatty() else 140
        show(described, Console(width=width))
    if page:
        with disk_errors_as_user_errors(page):
            write_page(described, page)
        _log(f"wrote {page}")


def _check(source: str, show_all: bool, reading: dict[str, str | None]) -> None:
    examples = Examples()

    def heard(problem: Problem) -> None:
        examples.add(problem)
        if show_all:
            print(problem)

    report = datasets.check(source, on_problem=heard, format=reading["format"], group_by=reading["group_by"])
    if not show_all:
        for line in examples.lines():
            print(line)
    print(
        f"{examples.total} problems; {report.affected} of {report.images} images would be left out or lose a box "
        f"(limit {LIMIT:.0%})"
    )
    for note in report.notes:
        print(f"note: {note}")
    report.raise_if_unusable()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = parser().parse_args(arguments)
    return run(lambda: _main(options), options.debug, interrupted="interrupted; no partial output was kept")


def _main(options: argparse.Namespace) -> int:
    reading = {"format": options.format, "group_by": options.group_by}
    try:
        if options.command == "convert":
            _convert(options.source, options.target, options.to, parse_share(options.subset), reading)
        elif options.command == "describe":
            _describe(options.source, options.html, options.json, options.cache, reading)
        else:
            _check(options.source, options.all, reading)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return 0


if __name__ == "__main__":
    sys.exit(main())
