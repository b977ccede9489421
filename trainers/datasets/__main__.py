"""`python -m trainers.datasets convert|describe|check`: labelled images of any format, seen before they are used."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trainers.command import Parser, run
from trainers.datasets import formats
from trainers.datasets.cache import build_once, disk_errors_as_user_errors, lock_file
from trainers.datasets.dataset import Dataset
from trainers.datasets.opening import local_path, open_dataset
from trainers.datasets.preparing import find_problems, prepare
from trainers.datasets.problems import LIMIT
from trainers.datasets.records.reading import read_images
from trainers.datasets.splits.subsetting import parse_share
from trainers.datasets.toy_city import is_toy_city
from trainers.errors import UserError

CACHE = Path("studies") / "data"  # where `python -m tuning.run` looks for what is converted already


DESCRIPTION = (
    "Labelled images of any format: see them, check them, write them as TFRecord files or in another format."
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(prog="python -m trainers.datasets", description=DESCRIPTION, epilog=f"formats: {_known()}")
    line.add_argument("--debug", action="store_true", help="show where in the code an error comes from")
    commands = line.add_subparsers(dest="command", required=True)
    source = "a file, a folder or s3://bucket/prefix, in any format; toy-city for generated scenes"

    convert = commands.add_parser("convert", help="write a source as TFRecord shards, or in another format")
    convert.add_argument("source", metavar="SRC", help=source)
    convert.add_argument("target", metavar="DST", type=Path, help="a folder that is not there yet")
    convert.add_argument("--to", default="tfrecord", metavar="FORMAT", help=f"{_known()} (default: tfrecord)")
    convert.add_argument("--subset", default="100%", help="share of the training images, like 10%%")

    described = commands.add_parser("describe", help="count a source's images and boxes")
    described.add_argument("source", metavar="SRC", help=source)
    described.add_argument("--html", type=Path, metavar="FILE", help="also write a page with sample images")
    described.add_argument("--json", action="store_true", help="print JSON instead of tables")
    described.add_argument(
        "--cache", type=Path, default=CACHE, help=f"for converted images (default: {CACHE})"
    )

    check = commands.add_parser("check", help="list every problem; exit code 2 when it would spoil training")
    check.add_argument("source", metavar="SRC", help=source)
    return line


def _known() -> str:
    return ", ".join(known.NAME for known in formats.all_formats())


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def _convert(source: str, target: Path, to: str, share: float) -> None:
    wanted = formats.named(to)
    if target.exists():
        raise UserError(f"{target} is there already; name a folder that is not")
    parent = target.absolute().parent
    if wanted.TRAINABLE_IN_PLACE and share == 1 and not is_toy_city(source):
        path = local_path(source, _say)
        found = formats.recognise(path)

        def build(folder: Path) -> Dataset:
            return prepare(source, path, found, folder, _say, link=False)

        try:
            dataset = build_once(parent, target.name, build)
        finally:
            if (lock := lock_file(parent, target.name)).exists():
                lock.unlink()
    else:
        with disk_errors_as_user_errors(target):
            parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=parent) as scratch:
                dataset = open_dataset(source, Path(scratch) / "opened", subset=share, on_progress=_say)
                written = Path(scratch) / "written"
                written.mkdir()
                records = {name: read_images(part.files) for name, part in dataset.parts.items()}
                wanted.write(written, dataset.classes, records)
                written.replace(target)
    for note in dataset.notes:
        print(f"note: {note}")
    counts = ", ".join(f"{part.images} {name}" for name, part in dataset.parts.items())
    classes = f"{len(dataset.classes)} class{'es' if len(dataset.classes) > 1 else ''}"
    print(f"{target}: {counts} images, {classes}, fingerprint {dataset.fingerprint[:12]}")


def _describe(source: str, page: Path | None, as_json: bool, cache: Path) -> None:
    # what draws tables and pages: `convert` does without it
    from rich.console import Console

    from trainers.datasets.description.description import describe
    from trainers.datasets.description.page import write_page
    from trainers.datasets.description.table import show

    if page and (page.is_dir() or not page.absolute().parent.is_dir()):
        raise UserError(f"--html {page}: give the name of a file in a folder that is there")
    described = describe(open_dataset(source, cache, on_progress=_say))
    if as_json:
        print(json.dumps(described.to_dict(), indent=1, ensure_ascii=False))
    else:
        width = None if sys.stdout.isatty() else 140
        show(described, Console(width=width))
    if page:
        with disk_errors_as_user_errors(page):
            write_page(described, page)
        _say(f"wrote {page}")


def _check(source: str) -> None:
    if is_toy_city(source):
        from trainers.datasets.toy_city.naming import parse_city

        parse_city(source)
        raise UserError(f"{source}: is generated, and labelled as it is drawn; there is nothing to check")
    path = local_path(source, _say)
    listed, problems = find_problems(source, path, formats.recognise(path), print, lambda _: None)
    total = sum(problems.counts.values())
    print(
        f"{total} problems; {problems.affected} of {listed.images} images are lost or lose a box (limit {LIMIT:.0%})"
    )
    for note in listed.notes:
        print(f"note: {note}")
    problems.raise_if_unusable(listed.images)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    options = parser().parse_args(arguments)
    return run(lambda: _main(options), options.debug, interrupted="interrupted; nothing half-written is left")


def _main(options: argparse.Namespace) -> int:
    try:
        if options.command == "convert":
            _convert(options.source, options.target, options.to, parse_share(options.subset))
        elif options.command == "describe":
            _describe(options.source, options.html, options.json, options.cache)
        else:
            _check(options.source)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return 0


if __name__ == "__main__":
    sys.exit(main())
