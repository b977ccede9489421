"""Writes one shard: reads its images from the catalogue, checks them, and writes those that are usable."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.problems import Problem
from trainers.datasets.records.tfrecords import CorruptRecord, TFRecordWriter


@dataclass(frozen=True)
class ShardJob:
    """A shard to write: `number` of `part` in the catalogue file `catalogue`, to `file`; None to check only."""

    catalogue: str
    classes: tuple[str, ...]
    part: str
    number: int
    file: str | None


@dataclass(frozen=True)
class ShardResult:
    """The result of a ShardJob.

    records: number of images written. left_out: names of the images that were not.
    digest_sum: sum of the digests of the images written, for the Fingerprint.
    problems: problems of its images.
    """

    records: int
    left_out: tuple[str, ...]
    digest_sum: int
    problems: tuple[Problem, ...]


def write_shard(job: ShardJob) -> ShardResult:
    """Run the job. Raises OSError if the shard cannot be written."""
    # a process that leaves the shards to workers needs neither numpy nor Pillow
    from trainers.datasets.records.image_check import check_image

    ids = {name: label for label, name in enumerate(job.classes, 1)}
    problems: list[Problem] = []
    left_out: list[str] = []
    records = digest_sum = 0
    with ExitStack() as stack:
        listed = stack.enter_context(Catalogue(Path(job.catalogue)))
        shard = stack.enter_context(TFRecordWriter(Path(job.file))) if job.file else None
        for image in listed.images(job.part, job.number):
            try:
                data = image.stored.read()
            except FileNotFoundError:
                problems.append(
                    Problem("missing image", image.labelled_in, f"{image.name} does not exist", image.name)
                )
                left_out.append(image.name)
                continue
            except (OSError, CorruptRecord) as error:
                problems.append(Problem("unreadable image", image.labelled_in, str(error), image.name))
                left_out.append(image.name)
                continue
            checked = check_image(image, data, ids)
            problems += checked.problems
            if checked.image is None:
                left_out.append(image.name)
            else:
                records += 1
                digest_sum += checked.image.digest()
                if shard:
                    shard.write(checked.image.encode(job.classes))
    return ShardResult(records, tuple(left_out), digest_sum, tuple(problems))
