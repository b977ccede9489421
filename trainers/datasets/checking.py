"""Checks a source without converting it: lists every problem and says whether training would accept it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainers.datasets import arguments
from trainers.datasets.arguments import PathLike
from trainers.datasets.catalogue import Catalogue
from trainers.datasets.formats.recognition import recognise
from trainers.datasets.listing import list_source
from trainers.datasets.opening import local_path
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records.parallel_conversion import convert_catalogue
from trainers.datasets.records.shard_workers import ShardWorkers
from trainers.datasets.splits.near_duplicates import near_duplicates
from trainers.datasets.toy_city import is_toy_city
from trainers.errors import UserError


@dataclass(frozen=True)
class CheckReport:
    """The result of a check.

    source: the source as it was named.
    images: number of images in the source.
    affected: number of images that would be left out, or would lose a box.
    counts: number of problems by kind.
    problems: every problem, in the order found; empty when `on_problem` received them instead.
    notes: remarks on the source, such as remapped label ids or how it would be split.
    error: why training would refuse the source, in one line; None when it is usable.
    """

    source: str
    images: int
    affected: int
    counts: dict[str, int]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    error: str | None

    def raise_if_unusable(self) -> None:
        """Raise UserError when training would refuse the source."""
        if self.error is not None:
            raise UserError(self.error)


def check(
    source: PathLike,
    on_problem: Callable[[Problem], None] | None = None,
    on_progress: Callable[[str], None] | None = None,
    format: str | None = None,
    group_by: str | None = None,
) -> CheckReport:
    """Check every label and decode every image of a source; nothing is written.

    Args:
        source: a path or `s3://bucket/prefix`, in any format of `trainers.datasets.formats`.
        on_problem: called with each problem as it is found. The report then does not collect them, so that memory
            stays constant.
        on_progress: called with one line of text whenever a long step advances.
        format, group_by: as for `trainers.datasets.load`.

    Raises:
        UserError: an argument has a wrong type; the source does not exist, has an unknown format, cannot be read
            at all, or is a toy city, which is generated together with its labels.
    """
    name, reading = arguments.source_name(source), arguments.reading(format, group_by)
    found: list[Problem] = []
    listener = found.append if on_problem is None else arguments.callback("on_problem", on_problem)
    progress = arguments.callback("on_progress", on_progress)
    if is_toy_city(name):
        from trainers.datasets.toy_city.naming import parse_city

        parse_city(name)
        raise UserError(f"{name}: generated together with its labels; there is nothing to check")
    path = local_path(name, progress)
    problems = Problems(name, listener)
    with (
        tempfile.TemporaryDirectory() as scratch,
        ShardWorkers() as workers,
        Catalogue(Path(scratch) / "catalogue.sqlite") as catalogue,
    ):
        listed = list_source(path, recognise(path, reading.format), reading, catalogue, problems, workers)
        convert_catalogue(catalogue, listed.classes, None, problems, workers, progress)
        warning = near_duplicates(catalogue)
    return CheckReport(
        source=name,
        images=listed.images,
        affected=problems.affected,
        counts=dict(problems.counts),
        problems=tuple(found),
        notes=(*listed.notes, *([warning] if warning else [])),
        error=problems.error(listed.images),
    )
