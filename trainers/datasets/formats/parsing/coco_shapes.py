"""The box of a COCO annotation: its `bbox`, or the one around its polygons or its run-length encoded mask."""

from __future__ import annotations

import json
from typing import Any

_LARGEST_EDGE = 1e9

Edges = tuple[float | None, float | None, float | None, float | None, str | None]


def edges(bbox: Any, segmentation: Any) -> Edges:
    """x, y, width, height and None; if there are no such numbers, four times None and bbox as JSON."""
    if type(bbox) is list and len(bbox) == 4 and {int, float}.issuperset(map(type, bbox)):
        x, y, width, height = bbox
        finite = all([-_LARGEST_EDGE < edge < _LARGEST_EDGE for edge in bbox])  # noqa: C419 - three times as fast
        if finite and (width or height or not segmentation):
            return x, y, width, height, None
    if segmentation and (not bbox or bbox == [0, 0, 0, 0]) and (around := _around(segmentation)):
        return *around, None
    return None, None, None, None, json.dumps(bbox)


def _around(segmentation: Any) -> tuple[float, float, float, float] | None:
    if isinstance(segmentation, dict):
        return _around_mask(segmentation)
    polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
    try:
        across = [float(x) for polygon in polygons for x in polygon[0::2]]
        down = [float(y) for polygon in polygons for y in polygon[1::2]]
        return min(across), min(down), max(across) - min(across), max(down) - min(down)
    except (TypeError, ValueError):
        return None


def _around_mask(encoded: dict[str, Any]) -> tuple[float, float, float, float] | None:
    from faster_coco_eval.core import mask  # imported here: rarely needed

    try:
        height, width = encoded["size"]
        counts = encoded["counts"]
        rle = mask.frPyObjects(encoded, height, width) if isinstance(counts, list) else encoded
        x, y, wide, high = (float(edge) for edge in mask.toBbox(rle).tolist())
    except (KeyError, TypeError, ValueError):
        return None
    return (x, y, wide, high) if wide > 0 and high > 0 else None
