"""Splits a source without parts into train and validation, by sequence and balanced by class."""

from __future__ import annotations

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.splits.duplicates import group_duplicates
from trainers.errors import UserError

VALIDATION_SHARE = 0.2

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


def split(catalogue: Catalogue, source: str) -> str | None:
    """Assign every image to a part. Returns a note for the user, or None if the source's own parts are used.

    source: the source as the user named it.
    Raises UserError if there are fewer than two images, or sequences, to split.
    """
    counts = catalogue.counts()
    database = catalogue.database
    if counts["train"] and counts["validation"]:
        left_over = counts[None]
        database.execute("UPDATE images SET part = 'train' WHERE part IS NULL")
        return f"{left_over} images without a part are used for training" if left_over else None
    if counts["validation"] and counts[None]:
        database.execute("UPDATE images SET part = 'train' WHERE part IS NULL")
        return None
    database.execute("UPDATE images SET part = 'train' WHERE part IS NULL OR part = 'validation'")
    database.execute("CREATE INDEX IF NOT EXISTS by_sequence ON images (sequence)")
    group_duplicates(catalogue)
    database.execute("CREATE TEMP TABLE validation (sequence TEXT PRIMARY KEY)")
    total = sum(catalogue.counts().values()) - counts["test"]
    chosen, owed, sequences, sequence = 0, 0.0, 0, ""
    for sequence, size, _, _ in database.execute(_SEQUENCES):
        sequences += 1
        owed += VALIDATION_SHARE * size
        if owed >= size / 2 and chosen + size < total:
            database.execute("INSERT INTO validation VALUES (?)", (sequence,))
            owed -= size
            chosen += size
    unit = "sequence" if catalogue.knows_sequences() else "image"
    if sequences < 2:
        what = f"cannot split {sequences} {unit} into train and validation; at least 2 are needed"
        raise UserError(f"{source}: {what}")
    if not chosen:
        database.execute("INSERT INTO validation VALUES (?)", (sequence,))
    database.execute(
        "UPDATE images SET part = 'validation' "
        "WHERE part = 'train' AND sequence IN (SELECT sequence FROM validation)"
    )
    counts = catalogue.counts()
    return (
        f"split by {unit}, balanced by class: {counts['train']} training images, "
        f"{counts['validation']} validation images"
    )
