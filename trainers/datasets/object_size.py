"""The size of an object by its area, in COCO's three ranges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a process that only lists images does not load numpy
    import numpy as np

# square pixels of the original image, both ends included, as in pycocotools: 32 x 32 is small as well as medium
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) [ymin, xmin, ymax, xmax] in pixels -> (N,) float64, to a tenth of a square pixel.

    Rounded because boxes are stored as fractions in float32, and 32 x 32 pixels must have the area 1024.
    """
    import numpy as np

    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    areas: np.ndarray = np.prod(sides, axis=1).round(1)
    return areas


def stated_area(area: object) -> float | None:
    """The area that a label file states, square pixels; None if it states none that an object can have."""
    if isinstance(area, bool) or not isinstance(area, int | float):
        return None
    return float(area) if math.isfinite(area) and area >= 0 else None


def is_own_area(stated: float, of_box: float) -> bool:
    """Whether a stated area is that of the box itself, but for rounding, and not for example that of its outline."""
    if not math.isclose(stated, of_box, rel_tol=0.01, abs_tol=0.5):
        return False
    return stated == of_box or _ranges(stated) == _ranges(of_box)


def _ranges(area: float) -> list[bool]:
    """Whether each range holds the area."""
    return [low <= area <= high for low, high in SIZES.values()]
