"""Fingerprint: a digest of a dataset's contents that does not depend on paths, file names or shards."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from trainers.datasets.records.checked_image import CheckedImage


class Fingerprint:
    """Sums the digests of each part's images modulo 2**256, so that their order does not matter."""

    def __init__(self) -> None:
        self._sums: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def add(self, part: str, image: CheckedImage) -> None:
        """Add one image."""
        self.add_sum(part, 1, image.digest())

    def add_sum(self, part: str, records: int, digest_sum: int) -> None:
        """Add several images by the sum of their digests."""
        self._sums[part] = (self._sums[part] + digest_sum) % 2**256
        self._counts[part] += records

    def value(self, classes: Sequence[str]) -> str:
        """64 hexadecimal digits."""
        parts = [(part, self._counts[part], self._sums[part]) for part in sorted(self._counts)]
        return hashlib.sha256(repr((tuple(classes), parts)).encode()).hexdigest()
