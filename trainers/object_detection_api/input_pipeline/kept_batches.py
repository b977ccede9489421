"""KeptBatches: batches without augmentation, ready in memory where they fit there, and read each time where not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.object_detection_api.input_pipeline.batches import Batch

# of images as the model takes them: 3,495 of 160 px, 218 of 640 px
KEPT_BYTES = 2**30
PIXEL_BYTES = 3 * 4  # float32


class KeptBatches:
    """Batches by key. Beyond `limit` bytes of images, those that were asked for longest ago are let go."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._kept: OrderedDict[Hashable, tuple[int, list[Batch]]] = OrderedDict()

    @property
    def bytes(self) -> int:
        """Of all images that are kept."""
        return sum(size for size, _ in self._kept.values())

    def of(
        self, key: Hashable, images: int, image_size: int, make: Callable[[], Iterable[Batch]]
    ) -> Iterable[Batch]:
        """The batches that `make` makes, of `images` images of `image_size` pixels square."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][1]
        size = images * image_size**2 * PIXEL_BYTES
        if size > self._limit:
            return make()
        while self.bytes + size > self._limit:
            self._kept.popitem(last=False)
        batches = list(make())
        self._kept[key] = size, batches
        return batches
