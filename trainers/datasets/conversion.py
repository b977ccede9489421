"""Converts a catalogue of labelled images into TFRecord shards: in parallel, each checked, in flat memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.dataset import Part
from trainers.datasets.fingerprint import Fingerprint
from trainers.datasets.problems import Problems
from trainers.datasets.shard_workers import done_by_workers
from trainers.datasets.shard_writing import Job

IMAGES_PER_SHARD = 500


def convert(
    catalogue: Catalogue,
    classes: Sequence[str],
    folder: Path | None,
    problems: Problems,
    on_progress: Callable[[str], None],
) -> tuple[dict[str, Part], str]:
    """Write each part of `catalogue` as shards into `folder`; returns the parts and their fingerprint.

    folder: None to check everything and write nothing; the parts then have no files.
    """
    counts = {part: count for part, count in catalogue.counts().items() if part and count}
    shards = catalogue.deal(IMAGES_PER_SHARD)
    jobs = [
        Job(
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
    total = sum(counts.values())
    for job, shard in zip(jobs, done_by_workers(jobs), strict=True):
        if job.file:
            files[job.part].append(Path(job.file))
        images[job.part] += shard.records
        fingerprint.add_sum(job.part, shard.records, shard.digest_sum)
        problems.extend(shard.problems)
        on_progress(f"converted {sum(images.values())} of {total} images")
    return {part: Part(tuple(files[part]), images[part]) for part in counts}, fingerprint.value(classes)
