"""Converts a catalogue of labelled images into TFRecord shards: in parallel, each image checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.checking import check
from trainers.datasets.dataset import Part
from trainers.datasets.fingerprint import Fingerprint
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.tfrecords import CorruptRecord, Shard

IMAGES_PER_SHARD = 500


@dataclass(frozen=True)
class _Written:
    """What became of one shard."""

    records: int
    digests: tuple[int, ...]
    problems: tuple[Problem, ...]


def convert(
    catalogue: Catalogue,
    classes: Sequence[str],
    folder: Path,
    problems: Problems,
    on_progress: Callable[[str], None],
) -> tuple[dict[str, Part], str]:
    """Write each part of `catalogue` as shards into `folder`; returns the parts and their fingerprint."""
    counts = {part: count for part, count in sorted(catalogue.counts().items(), key=str) if part and count}
    shards = catalogue.deal(IMAGES_PER_SHARD)
    jobs = []
    for part in counts:
        of = shards[part]
        jobs += [(part, folder / f"{part}.tfrecord-{i:05d}-of-{of:05d}", i) for i in range(of)]
    ids = {name: label for label, name in enumerate(classes, 1)}
    fingerprint = Fingerprint()
    files: dict[str, list[Path]] = {part: [] for part in counts}
    images = dict.fromkeys(counts, 0)
    total = sum(counts.values())
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        written = pool.map(partial(_write, catalogue.path, ids, classes), *zip(*jobs, strict=True))
        for (part, file, _), shard in zip(jobs, written, strict=True):
            files[part].append(file)
            images[part] += shard.records
            fingerprint.add_digests(part, shard.digests)
            problems.extend(shard.problems)
            on_progress(f"converted {sum(images.values())} of {total} images")
    parts = {part: Part(tuple(files[part]), images[part]) for part in counts}
    return parts, fingerprint.value(classes)


def _write(
    catalogue: Path,
    ids: Mapping[str, int],
    classes: Sequence[str],
    part: str,
    file: Path,
    number: int,
) -> _Written:
    problems: list[Problem] = []
    digests: list[int] = []
    with Catalogue(catalogue) as listed, Shard(file) as shard:
        for image in listed.images(part, number):
            try:
                data = image.stored.read()
            except FileNotFoundError:
                problems.append(
                    Problem("missing image", image.labelled_in, f"there is no {image.name}", image.name)
                )
                continue
            except (OSError, CorruptRecord) as error:
                problems.append(Problem("unreadable image", image.labelled_in, str(error), image.name))
                continue
            checked = check(image, data, ids)
            problems += checked.problems
            if checked.record:
                shard.write(checked.record.encode(classes))
                digests.append(checked.record.digest())
        return _Written(shard.records, tuple(digests), tuple(problems))
