"""PixelBudget: bounds the memory of the images that a replica has decoded at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serve.errors import Refused


class PixelBudget:
    """At most `most` pixels at a time, for requests of one event loop; later ones wait."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def taken(self, pixels: int) -> AsyncIterator[None]:
        """`pixels` of the budget, for the duration of the context. Raises Refused (413) beyond the whole budget."""
        if pixels > self._most:
            raise Refused(
                413, f"the images have {pixels} pixels in all; the limit for a request is {self._most} pixels"
            )
        async with self._freed:
            await self._freed.wait_for(lambda: self._left >= pixels)
            self._left -= pixels
        try:
            yield
        finally:
            async with self._freed:
                self._left += pixels
                self._freed.notify_all()
