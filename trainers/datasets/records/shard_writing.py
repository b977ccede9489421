"""One shard: reads its images from the catalogue, checks each, and writes the records of those that are good."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.problems import Problem
from trainers.datasets.records.tfrecords import CorruptRecord, Shard


@dataclass(frozen=True)
class Job:
    """What to write: shard `number` of `part` of the catalogue, into `file`, or nowhere when only to be checked."""

    catalogue: str
    classes: tuple[str, ...]
    part: str
    number: int
    file: str | None


@dataclass(frozen=True)
class Written:
    """What became of a shard.

    records: how many. left_out: names of the images that are in none. digest_sum: of the records' digests.
    problems: what was wrong with its images.
    """

    records: int
    left_out: tuple[str, ...]
    digest_sum: int
    problems: tuple[Problem, ...]


def write_shard(job: Job) -> Written:
    """Do the job. Raises OSError when the disk does not take it."""
    from trainers.datasets.records.image_check import (
        check,  # who has its shards written elsewhere does without numpy and Pillow
    )

    ids = {name: label for label, name in enumerate(job.classes, 1)}
    problems: list[Problem] = []
    left_out: list[str] = []
    records = digest_sum = 0
    with ExitStack() as stack:
        listed = stack.enter_context(Catalogue(Path(job.catalogue)))
        shard = stack.enter_context(Shard(Path(job.file))) if job.file else None
        for image in listed.images(job.part, job.number):
            try:
                data = image.stored.read()
            except FileNotFoundError:
                problems.append(
                    Problem("missing image", image.labelled_in, f"there is no {image.name}", image.name)
                )
                left_out.append(image.name)
                continue
            except (OSError, CorruptRecord) as error:
                problems.append(Problem("unreadable image", image.labelled_in, str(error), image.name))
                left_out.append(image.name)
                continue
            checked = check(image, data, ids)
            problems += checked.problems
            if checked.record is None:
                left_out.append(image.name)
            else:
                records += 1
                digest_sum += checked.record.digest()
                if shard:
                    shard.write(checked.record.encode(job.classes))
    return Written(records, tuple(left_out), digest_sum, tuple(problems))
