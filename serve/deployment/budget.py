"""Budget: bounds the memory of what a process holds for its requests at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serve.errors import Refused


class Budget:
    """At most `most` at a time, for requests of one event loop; later ones wait. unit: of it, as "pixels"."""

    def __init__(self, most: int, unit: str) -> None:
        self._most = self._left = most
        self._unit = unit
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def taken(self, amount: int) -> AsyncIterator[None]:
        """`amount` of the budget, for the duration of the context. Raises Refused (413) beyond the whole budget."""
        if amount > self._most:
            raise Refused(
                413,
                f"the images have {amount} {self._unit} in all; the limit for a request is {self._most} {self._unit}",
            )
        async with self._freed:
            await self._freed.wait_for(lambda: self._left >= amount)
            self._left -= amount
        try:
            yield
        finally:
            async with self._freed:
                self._left += amount
                self._freed.notify_all()
