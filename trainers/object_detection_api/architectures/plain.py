"""The values of protos as people write them."""

from __future__ import annotations

from typing import Any


def plain(value: Any) -> Any:
    """A value of a proto as plain Python; floats have 32 bits there, so seven digits. A repeated field is a list."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, str | int):
        return value
    return [plain(each) for each in value]
