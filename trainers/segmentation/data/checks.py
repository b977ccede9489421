"""Checks a folder of images and masks without converting it: lists every problem, and whether training accepts it."""

from __future__ import annotations

from collections.abc import Callable

from trainers.datasets.checking import CheckReport
from trainers.datasets.opening import local_path
from trainers.datasets.problems import Problem, Problems
from trainers.segmentation.data.sources.source import recognised
from trainers.segmentation.data.storing import one_class

CHECK = "python -m trainers.segmentation check"


def check(source: str, on_problem: Callable[[Problem], None]) -> CheckReport:
    """Check every image and mask; nothing is written.

    source: a path or `s3://bucket/prefix`. on_problem: called with each problem as it is found.
    Raises UserError if the source is not a folder of images and masks, or its colours are not known. Masks of one class
    alone are an error of the report.
    """
    root = local_path(source)
    problems = Problems(source, on_problem, CHECK)
    found = recognised(root)
    usable, shown = 0, set[int]()
    for _, image in found.images(problems):
        usable += 1
        shown.update(image.boxes())
    images = usable + problems.affected
    return CheckReport(
        source=source,
        images=images,
        affected=problems.affected,
        counts=dict(problems.counts),
        problems=(),
        notes=found.notes,
        error=problems.error(images) or one_class(shown, found.classes, source),
    )
