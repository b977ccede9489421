"""BatchCache: batches without augmentation, kept in memory if they fit, else read each time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.object_detection_api.input_pipeline.batches import Batch

# float32 images at the model's input size: 3,495 of 160 px, or 218 of 640 px
CACHE_BYTES = 2**30
PIXEL_BYTES = 3 * 4  # float32


class BatchCache:
    """A least-recently-used cache of batches with at most `limit` bytes of images."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._cache: OrderedDict[Hashable, tuple[int, list[Batch]]] = OrderedDict()

    @property
    def bytes(self) -> int:
        """Bytes of all cached images."""
        return sum(size for size, _ in self._cache.values())

    def get(
        self, key: Hashable, images: int, image_size: int, make: Callable[[], Iterable[Batch]]
    ) -> Iterable[Batch]:
        """The batches for `key`: cached, or made by `make` from `images` square images of `image_size` pixels."""
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key][1]
        size = images * image_size**2 * PIXEL_BYTES
        if size > self._limit:
            return make()
        while self.bytes + size > self._limit:
            self._cache.popitem(last=False)
        batches = list(make())
        self._cache[key] = size, batches
        return batches
