"""Finds the frames of recordings by the images' names, so that neighbouring frames go into the same part.

Names that differ in their last number only (`video0_frame0001.jpg`, `Town02_001080.jpg`) may be frames or unrelated
photographs: they are taken for frames if images with neighbouring numbers look more alike than others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations
from sqlite3 import Connection
from statistics import mean

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.labelled_image import Stored

# perceptual hashes of images, None for one that cannot be read; they need libraries that this module does not import
Hashes = Callable[[Sequence[Stored]], list[int | None]]

_LAST_NUMBER = re.compile(r"^(.*?)(\d+)(\D*)$", re.DOTALL)
_SUFFIX = re.compile(r"\.[A-Za-z]{3,4}(~\d+)?$")
_ROBOFLOW = re.compile(r"_[a-z]{3,4}\.rf\.\w+$")  # the name of an exported copy: frame_0001_jpg.rf.4f1b...
_FEWEST = 3  # images of a recording
_LOOKED_AT = 16  # pairs of neighbours
_ALIKE = 10  # bits of 64
_PIECES = 10  # into which recordings are cut if whole ones cannot be held out
_FEW, _MANY = 0.1, 0.4  # shares of the images that validation may have when whole recordings are held out


def group_recordings(catalogue: Catalogue, share: float, hashes: Hashes) -> str | None:
    """Give the frames of a recording one sequence, or several consecutive ones. Returns a note if there are frames.

    share: the share of the images that validation should have. hashes: gives perceptual hashes.
    """
    database = catalogue.database
    database.execute("CREATE TEMP TABLE frames (id INTEGER PRIMARY KEY, recording TEXT, number INTEGER)")
    database.executemany("INSERT INTO frames VALUES (?, ?, ?)", _numbered(database))
    database.execute(
        "DELETE FROM frames WHERE recording IN (SELECT recording FROM frames GROUP BY recording HAVING COUNT(*) < ?)",
        (_FEWEST,),
    )
    if not _neighbours_are_alike(catalogue, hashes):
        return None
    sizes = database.execute("SELECT recording, COUNT(*) FROM frames GROUP BY recording").fetchall()
    total = sum(catalogue.counts().values()) - catalogue.counts()["test"]
    whole = _can_be_held_out([size for _, size in sizes], total, share)
    longest = total if whole else max(_FEWEST, total // _PIECES)
    database.execute(
        """
        WITH placed AS (
            SELECT id, recording, ROW_NUMBER() OVER (PARTITION BY recording ORDER BY number, id) - 1 AS place,
                COUNT(*) OVER (PARTITION BY recording) AS size FROM frames
        )
        UPDATE images SET in_sequence = 1, sequence = recording || ' ' || (place * ((size + ? - 1) / ?) / size)
        FROM placed WHERE images.id = placed.id AND images.part IS NOT 'test'
        """,
        (longest, longest),
    )
    names = f"{len(sizes)} recording{'s' if len(sizes) > 1 else ''} by name and look, such as {sizes[0][0]}"
    how = "each kept in one part" if whole else "cut into stretches of time, each kept in one part"
    return f"frames of {names}: {how}; --group-by states another grouping"


def group_by(catalogue: Catalogue, pattern: re.Pattern[str]) -> str:
    """Give images of whose name the pattern matches the same text, or the same first group, one sequence.

    Returns a note.
    """
    database, matched = catalogue.database, 0
    keys = []
    for number, name in database.execute("SELECT id, name FROM images"):
        if found := pattern.search(name):
            matched += 1
            keys.append((found.group(1 if pattern.groups else 0) or "", number))
    database.executemany("UPDATE images SET in_sequence = 1, sequence = ? WHERE id = ?", keys)
    groups = len({key for key, _ in keys})
    return f"grouped by {pattern.pattern}: {matched} images in {groups} groups"


def _numbered(database: Connection) -> Iterator[tuple[int, str, int]]:
    for identity, name in database.execute("SELECT id, name FROM images WHERE part IS NOT 'test'").fetchall():
        stem = _ROBOFLOW.sub("", _SUFFIX.sub("", name))
        if (found := _LAST_NUMBER.match(stem)) and len(found.group(2)) < 19:
            yield identity, f"{found.group(1)}*{found.group(3)}", int(found.group(2))


def _can_be_held_out(sizes: list[int], total: int, share: float) -> bool:
    """Whether some whole recordings, but not all, make up a share of the images that is near the wanted one."""
    if len(sizes) > _PIECES:
        return max(sizes) <= _MANY * total
    sums = (sum(some) for count in range(1, len(sizes)) for some in combinations(sizes, count))
    return any(_FEW * total <= held <= _MANY * total for held in sums)


def _neighbours_are_alike(catalogue: Catalogue, hashes: Hashes) -> bool:
    database = catalogue.database
    rows = database.execute(
        """
        WITH placed AS (SELECT id, LEAD(id) OVER (PARTITION BY recording ORDER BY number, id) AS next FROM frames),
        pairs AS (SELECT id, next, ROW_NUMBER() OVER (ORDER BY id) - 1 AS place, COUNT(*) OVER () AS size
            FROM placed WHERE next IS NOT NULL)
        SELECT id, next FROM pairs WHERE place % MAX(1, size / ?) = 0 LIMIT ?
        """,
        (_LOOKED_AT, _LOOKED_AT),
    ).fetchall()
    found = hashes([catalogue.image(number).stored for pair in rows for number in pair])
    pairs = [
        (one, other)
        for one, other in zip(found[::2], found[1::2], strict=True)
        if one is not None and other is not None
    ]
    if len(pairs) < _FEWEST:
        return False
    near = [(one ^ other).bit_count() for one, other in pairs]
    far = [(one ^ other).bit_count() for (one, _), (_, other) in permutations(pairs, 2)]
    return sum(bits <= _ALIKE for bits in near) >= 0.15 * len(near) and mean(near) < 0.75 * mean(far)
