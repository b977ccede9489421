"""Warns of validation images that look like training images, such as neighbouring frames of a video."""

from __future__ import annotations

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.records.tfrecords import CorruptRecord

_MOST = 5000  # images of each part that are compared, at even steps along a fixed pseudo-random order


def near_duplicates(catalogue: Catalogue) -> str | None:
    """A note on the validation images that are nearly identical to a training image; None if there are none."""
    # imported here: only `check` compares images
    import numpy as np

    from trainers.datasets.splits.perceptual_hash import NEAR_IDENTICAL, distances, perceptual_hash

    wanted = "SELECT id FROM images WHERE part = ? ORDER BY rank, id LIMIT ?"
    names, hashes = {}, {}
    for part in ("validation", "train"):
        found = []
        for (number,) in catalogue.database.execute(wanted, (part, _MOST)).fetchall():
            image = catalogue.image(number)
            try:
                bits = perceptual_hash(image.stored.read())
            except (OSError, CorruptRecord):  # reported as a problem
                continue
            if bits is not None:
                found.append((image.name, bits))
        if not found:
            return None
        names[part], hashes[part] = [name for name, _ in found], np.stack([bits for _, bits in found])
    between = distances(hashes["validation"], hashes["train"])
    alike = np.flatnonzero(between.min(axis=1) <= NEAR_IDENTICAL)
    if not len(alike):
        return None
    first = int(alike[0])
    pair = f"{names['validation'][first]} and {names['train'][int(between[first].argmin())]}"
    return (
        f"{len(alike)} of {len(names['validation'])} validation images look like a training image, such as {pair}: "
        "frames of one video in both parts make validation too optimistic"
    )
