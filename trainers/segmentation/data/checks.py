"""Checks a folder of images and masks without converting it: lists every problem, and whether training accepts it."""

from __future__ import annotations

from collections.abc import Callable

from trainers.datasets.checking import CheckReport
from trainers.datasets.opening import local_path
from trainers.datasets.problems import Problem, Problems
from trainers.segmentation.data.source import recognised


def check(source: str, on_problem: Callable[[Problem], None]) -> CheckReport:
    """Check every image and mask; nothing is written.

    source: a path or `s3://bucket/prefix`. on_problem: called with each problem as it is found.
    Raises UserError if the source is not a folder of images and masks, or its colours are not known.
    """
    root = local_path(source)
    problems = Problems(source, on_problem)
    images = sum(1 for _ in recognised(root).images(problems)) + problems.affected
    return CheckReport(
        source=source,
        images=images,
        affected=problems.affected,
        counts=dict(problems.counts),
        problems=(),
        notes=(),
        error=problems.error(images),
    )
