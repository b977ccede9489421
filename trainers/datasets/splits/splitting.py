"""Splits a source without parts into train and validation, by sequence and balanced by class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain, combinations

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.splits.duplicates import group_duplicates
from trainers.datasets.splits.folds import Fold, held_out
from trainers.datasets.splits.recordings import Hashes, group_by, group_recordings
from trainers.errors import UserError

VALIDATION_SHARE = 0.2
_FEW = 10  # sequences; the best of all choices of so few is quickly found

# Sequences sorted by the rarest class that they show, then by hash. A share taken at even steps along this order
# contains about the same share of every class.
_SEQUENCES = """
WITH frequency AS (SELECT class, COUNT(*) AS images FROM presence GROUP BY class),
rarest AS (
    SELECT sequence, MIN(printf('%012d %s', frequency.images, class)) AS class
    FROM images JOIN presence USING (id) JOIN frequency USING (class) GROUP BY sequence
)
SELECT images.sequence, COUNT(*), COALESCE(rarest.class, '') AS rarity, MIN(rank) AS first
FROM images LEFT JOIN rarest USING (sequence) WHERE images.part = 'train'
GROUP BY images.sequence ORDER BY rarity, first, images.sequence
"""


def split(
    catalogue: Catalogue,
    source: str,
    pattern: re.Pattern[str] | None,
    hashes: Hashes,
    fold: Fold | None = None,
) -> tuple[str, ...]:
    """Assign every image to a part. Returns notes for the user; none if the source's own parts are used as they are.

    source: the source as the user named it. pattern: groups images that belong together, see `group_by`.
    hashes: gives perceptual hashes. fold: makes this split of all images but the test part's, whatever their parts are.
    Raises UserError if there are fewer than two images, or sequences, to split, or fewer than there are folds.
    """
    counts = catalogue.counts()
    database = catalogue.database
    if fold is None and counts["train"] and counts["validation"]:
        left_over = counts[None]
        database.execute("UPDATE images SET part = 'train' WHERE part IS NULL")
        return (f"{left_over} images without a part are used for training",) if left_over else ()
    if fold is None and counts["validation"] and counts[None]:
        database.execute("UPDATE images SET part = 'train' WHERE part IS NULL")
        return (f"{counts[None]} images without a part are used for training",)
    if counts["test"] and not (counts["train"] or counts["validation"] or counts[None]):
        what = f"only a test part was found, of {counts['test']} images; to train on them, name its folder or file"
        raise UserError(f"{source}: {what} itself, or state it as `train:` in a dataset YAML")
    database.execute("UPDATE images SET part = 'train' WHERE part IS NULL OR part = 'validation'")
    database.execute("CREATE INDEX IF NOT EXISTS by_sequence ON images (sequence)")
    grouped = None
    if pattern:
        grouped = group_by(catalogue, pattern)
    elif not catalogue.knows_sequences():
        grouped = group_recordings(catalogue, 1 / fold.of if fold else VALIDATION_SHARE, hashes)
    group_duplicates(catalogue)
    database.execute("CREATE TEMP TABLE validation (sequence TEXT PRIMARY KEY)")
    total = sum(catalogue.counts().values()) - counts["test"]
    listed = database.execute(_SEQUENCES)
    few = listed.fetchmany(_FEW + 1)
    if fold:
        if len(few) <= _FEW:
            few.sort(key=lambda each: -each[1])  # the largest first, so that the shares are of about one size
        chosen, sequences = held_out(((name, size) for name, size, _, _ in chain(few, listed)), fold)
    elif len(few) <= _FEW and grouped:
        chosen = _nearest([(sequence, size) for sequence, size, _, _ in few], VALIDATION_SHARE * total)
        sequences = len(few)
    else:
        chosen, sequences = _spread(chain(few, listed), total)
    database.executemany("INSERT INTO validation VALUES (?)", ((sequence,) for sequence in chosen))
    unit = "sequence" if catalogue.knows_sequences() else "image"
    if fold and sequences < fold.of:
        raise UserError(
            f"{source}: cannot split {sequences} {unit}s into {fold.of} folds; give fewer --folds"
        )
    if sequences < 2:
        what = f"cannot split {sequences} {unit} into train and validation; at least 2 are needed"
        raise UserError(f"{source}: {what}")
    database.execute(
        "UPDATE images SET part = 'validation' "
        "WHERE part = 'train' AND sequence IN (SELECT sequence FROM validation)"
    )
    counts = catalogue.counts()
    made = f"{counts['train']} training images, {counts['validation']} validation images"
    named = f"fold {fold}, " if fold else ""
    return (f"{named}split by {unit}, balanced by class: {made}", *([grouped] if grouped else []))


def _spread(sequences: Iterable[tuple[str, int, str, int]], total: int) -> tuple[list[str], int]:
    """The sequences at even steps whose images are VALIDATION_SHARE of `total`, and the number of all sequences."""
    chosen: list[str] = []
    images, owed, count, sequence = 0, 0.0, 0, ""
    for sequence, size, _, _ in sequences:
        count += 1
        owed += VALIDATION_SHARE * size
        if owed >= size / 2 and images + size < total:
            chosen.append(sequence)
            owed -= size
            images += size
    return (chosen or [sequence]), count


def _nearest(sequences: Sequence[tuple[str, int]], wanted: float) -> list[str]:
    """Those of a few sequences, not all, whose number of images is nearest to `wanted`."""
    some = (names for count in range(1, max(2, len(sequences))) for names in combinations(sequences, count))
    best = min(some, key=lambda names: abs(sum(size for _, size in names) - wanted), default=())
    return [name for name, _ in best]
