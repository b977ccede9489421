"""Subsets of the training images for quick searches: balanced by class, and a larger subset contains the smaller."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from contextlib import closing
from itertools import chain
from pathlib import Path

from trainers.datasets.cache import build_once
from trainers.datasets.dataset import Dataset, Part
from trainers.datasets.label_map import write_label_map
from trainers.datasets.records.checked_image import decode
from trainers.datasets.records.fingerprint import Fingerprint
from trainers.datasets.records.reading import encoded_examples
from trainers.datasets.records.tfrecords import TFRecordWriter
from trainers.datasets.splits import split_file
from trainers.errors import UserError

_VERSION = 2  # of the selection; subsets of other versions in the cache are ignored

# Images in an order of which every prefix has its share of each stratum, and at least one image of each.
_CHOSEN = """
CREATE TEMP TABLE chosen AS
WITH placed AS (
    SELECT position, stratum, ROW_NUMBER() OVER (PARTITION BY stratum ORDER BY digest, position) AS place,
        COUNT(*) OVER (PARTITION BY stratum) AS size
    FROM images
)
SELECT position FROM placed ORDER BY place > 1, (place - 0.5) / size, stratum
LIMIT (SELECT MAX(COUNT(DISTINCT stratum), CAST(ROUND(? * COUNT(*)) AS INTEGER)) FROM images)
"""


def parse_share(text: str) -> float:
    """Parse `10%` or `0.1` as a fraction. Raises UserError unless it is above 0 and at most 1."""
    number = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(%?)\s*", text)
    share = float(number.group(1)) / (100 if number.group(2) else 1) if number else 0.0
    if not 0 < share <= 1:
        raise UserError(f"subset '{text}': expected a share of the training images, such as 10% or 0.1")
    return share


def subset(dataset: Dataset, share: float, cache: Path) -> Dataset:
    """The dataset with a `share` of its training images; the validation and test parts are unchanged.

    Images are grouped by the rarest class that they show. The share is taken from each group, at least one image, in
    the order of the images' hashes. The result is kept in `cache`.
    """
    if share == 1:
        return dataset

    def build(folder: Path) -> Dataset:
        fingerprint = Fingerprint()
        whole = dataset.train
        images: list[split_file.Row] = []
        with closing(sqlite3.connect(folder / "index.sqlite")) as index:
            _index(dataset, index)
            index.execute(_CHOSEN, (share,))
            chosen = (
                position for (position,) in index.execute("SELECT position FROM chosen ORDER BY position")
            )
            with TFRecordWriter(folder / "train.tfrecord-00000-of-00001") as shard:
                following = next(chosen, None)
                for position, data in enumerate(encoded_examples(whole.files)):
                    if position == following:
                        record = decode(data)
                        shard.write(data)
                        fingerprint.add("train", record)
                        images.append(("train", record.name))
                        following = next(chosen, None)
        (folder / "index.sqlite").unlink()
        split_file.write(
            folder, chain(images, (row for row in split_file.rows(dataset) if row[0] != "train"))
        )
        write_label_map(folder / "label_map.pbtxt", dataset.classes)
        taken = f"{share:.3%}".rstrip("0%").rstrip(".") + "%"
        return Dataset(
            name=f"{dataset.name} {taken}",
            source=dataset.source,
            classes=dataset.classes,
            train=Part((shard.path,), shard.records),
            validation=dataset.validation,
            test=dataset.test,
            fingerprint=fingerprint.value((dataset.fingerprint,)),
            notes=(*dataset.notes, f"{taken} of the training images: {shard.records} of {whole.images}"),
        )

    return build_once(cache, f"{dataset.train.files[0].parent.name}-subset-{share:.6f}-{_VERSION}", build)


def _index(dataset: Dataset, index: sqlite3.Connection) -> None:
    """Fill a table of the training images: position, rarest class shown (stratum), and digest."""
    frequency: Counter[int] = Counter()
    index.execute("CREATE TABLE images (position INTEGER PRIMARY KEY, stratum INTEGER, digest TEXT)")
    index.execute("CREATE TABLE presence (position INTEGER, label INTEGER)")
    for position, data in enumerate(encoded_examples(dataset.train.files)):
        record = decode(data)
        index.execute("INSERT INTO images VALUES (?, 0, ?)", (position, record.image_sha256.hex()))
        shown = set(record.labels)
        index.executemany("INSERT INTO presence VALUES (?, ?)", [(position, label) for label in shown])
        frequency.update(shown)
    order = sorted(frequency, key=lambda label: (frequency[label], label))
    index.execute("CREATE TABLE rarity (label INTEGER PRIMARY KEY, place INTEGER)")
    index.executemany("INSERT INTO rarity VALUES (?, ?)", [(label, i) for i, label in enumerate(order, 1)])
    index.execute("CREATE INDEX by_position ON presence (position)")
    index.execute(
        "UPDATE images SET stratum = COALESCE((SELECT MIN(place) FROM presence JOIN rarity USING (label) "
        "WHERE presence.position = images.position), 0)"
    )
