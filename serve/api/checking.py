"""Checks of what a request refers to elsewhere: sources on S3, hosts of webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from serve.errors import Refused

AT_ONCE = 16

T = TypeVar("T")


class Checks:
    """Threads of their own, which a host that does not answer may block without blocking other requests."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "checks")
        self._pending: set[asyncio.Future[Any]] = set()

    async def run(self, check: Callable[..., T], *arguments: Any) -> T:
        """The result of `check`. Raises what it raises, and Refused (503) while AT_ONCE others are pending."""
        if len(self._pending) >= AT_ONCE:
            raise Refused(503, "too many videos are being looked up; try again later", retry_after=10)
        future = asyncio.get_running_loop().run_in_executor(self._threads, check, *arguments)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return await future
