"""Converts a catalogue of labelled images to TFRecord shards, in parallel, checking every image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.dataset import Part
from trainers.datasets.problems import Problems
from trainers.datasets.records.fingerprint import Fingerprint
from trainers.datasets.records.shard_workers import ShardWorkers
from trainers.datasets.records.shard_writing import ShardJob

IMAGES_PER_SHARD = 250  # many, so that workers end together


@dataclass(frozen=True)
class Converted:
    """The parts by name, their fingerprint, and the names of the images that were left out."""

    parts: dict[str, Part]
    fingerprint: str
    left_out: frozenset[str]


def convert_catalogue(
    catalogue: Catalogue,
    classes: Sequence[str],
    folder: Path | None,
    problems: Problems,
    workers: ShardWorkers,
    on_progress: Callable[[str], None],
) -> Converted:
    """Check every image of `catalogue` and write each part to `folder` as shards `train.tfrecord-00000-of-00004`, ...

    classes: class names in the order of their label ids 1..N.
    folder: None to check only; the parts then have no files.
    problems: receives the problems of the images.
    """
    counts = {part: count for part, count in catalogue.counts().items() if part and count}
    shards = catalogue.assign_shards(IMAGES_PER_SHARD)
    jobs = [
        ShardJob(
            catalogue=str(catalogue.path),
            classes=tuple(classes),
            part=part,
            number=number,
            file=str(folder / f"{part}.tfrecord-{number:05d}-of-{shards[part]:05d}") if folder else None,
        )
        for part in sorted(counts)
        for number in range(shards[part])
    ]
    fingerprint = Fingerprint()
    files: dict[str, list[Path]] = {part: [] for part in counts}
    images = dict.fromkeys(counts, 0)
    left_out: set[str] = set()
    total = sum(counts.values())
    for job, shard in zip(jobs, workers.done(jobs, total), strict=True):
        if job.file:
            files[job.part].append(Path(job.file))
        images[job.part] += shard.records
        fingerprint.add_sum(job.part, shard.records, shard.digest_sum)
        problems.extend(shard.problems)
        left_out.update(shard.left_out)
        on_progress(f"converted {sum(images.values())} of {total} images")
    parts = {part: Part(tuple(files[part]), images[part]) for part in counts}
    return Converted(parts, fingerprint.value(classes), frozenset(left_out))
