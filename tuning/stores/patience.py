"""Patience: a call to a store that does not answer is made again for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from trainers.errors import UserError
from tuning.stores.store import Away

AWAY_SECONDS = 900.0
RETRY_SECONDS = 1.0
T = TypeVar("T")


def patiently(call: Callable[[], T], seconds: float | None = None) -> T:
    """The result of `call`, made again while it raises Away. Raises UserError after `seconds` (AWAY_SECONDS)."""
    until = time.monotonic() + (AWAY_SECONDS if seconds is None else seconds)
    while True:
        try:
            return call()
        except Away as error:
            if time.monotonic() > until:
                raise UserError(f"{error}; run the same command again later") from None
            time.sleep(RETRY_SECONDS)
