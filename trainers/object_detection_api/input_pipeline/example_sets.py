"""ExampleSets: the decoded examples of one part, in each of the sizes that recipes ask for."""

from __future__ import annotations

from collections import OrderedDict

from trainers.datasets.dataset import Part
from trainers.object_detection_api.input_pipeline.decoded_image_cache import DecodedImageCache, key_of
from trainers.object_detection_api.input_pipeline.detail import Detail
from trainers.object_detection_api.input_pipeline.examples import CACHE_BYTES, Examples, examples_of


class ExampleSets:
    """Decodes a part's examples at their first use in a size; the least recently used sets leave the memory."""

    def __init__(self, part: Part, fingerprint: str, threads: int, limit: int = CACHE_BYTES) -> None:
        """fingerprint: of the dataset. threads: for decoding. limit: bytes of decoded images in memory."""
        self._part, self._fingerprint, self._threads, self._limit = part, fingerprint, threads, limit
        self._store = DecodedImageCache()
        self._sets: OrderedDict[Detail | None, Examples] = OrderedDict()

    def at(self, detail: Detail | None) -> Examples:
        """The examples, with images of this detail."""
        if detail not in self._sets:
            key = key_of(self._part, self._fingerprint) + (f"-{detail.key}" if detail else "")
            self._sets[detail] = examples_of(self._part, self._threads, self._limit, self._store, key, detail)
        self._sets.move_to_end(detail)
        while sum(each.bytes for each in self._sets.values()) > self._limit:
            self._sets.popitem(last=False)
        return self._sets[detail]
