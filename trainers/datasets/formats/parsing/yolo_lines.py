"""What the lines of YOLO's label files hold: `class cx cy width height`, a box and key points, or a polygon.

A line with more than four numbers after the class is a polygon for segmentation (`x1 y1 x2 y2 ...`), or a box followed
by key points (`cx cy width height x1 y1 ...`, maybe with a visibility of 0, 1 or 2 after each point). Nothing in a line
says which, so `line_shape` looks at many of them, unless a data.yaml states `kpt_shape`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from trainers.errors import UserError

_FILES = 200  # label files that are looked at
_NEAR = 0.02  # of the image's side; labels are rounded, and key points may be a little outside
_NEARLY_ALL = 0.9

Edges = tuple[float, float, float, float]


@dataclass(frozen=True)
class LineShape:
    """How to read the numbers after the class.

    box_first: the first four are the box, whatever follows; otherwise more than four are a polygon.
    points, values: number of key points, and of values of each; 0 if unknown.
    """

    box_first: bool = False
    points: int = 0
    values: int = 0

    def edges(self, numbers: Sequence[float]) -> Edges:
        """ymin, xmin, ymax, xmax as fractions of the image. Raises ValueError for a wrong count of numbers."""
        if len(numbers) == 4 or (self.box_first and len(numbers) > 4):
            if len(numbers) not in (4, 4 + self.points * self.values) and self.points:
                raise ValueError
            x, y, width, height = numbers[:4]
            return y - height / 2, x - width / 2, y + height / 2, x + width / 2
        if len(numbers) < 6 or len(numbers) % 2:
            raise ValueError
        across, down = numbers[0::2], numbers[1::2]
        return min(down), min(across), max(down), max(across)

    def note(self) -> str | None:
        """A remark for the user."""
        return "key points are left out: only the boxes before them are read" if self.box_first else None


def stated_shape(value: object, file: Path) -> LineShape:
    """The shape by `kpt_shape` of a data.yaml: [points, values], or null for polygons. Raises UserError otherwise."""
    if value in (None, []):
        return LineShape()
    if isinstance(value, list) and len(value) == 2 and all(type(each) is int for each in value):
        points, values = value
        if points > 0 and values in (2, 3):
            return LineShape(True, points, values)
    raise UserError(f"{file}: kpt_shape: expected [number of key points, 2 or 3], got {value!r}")


def line_shape(label_files: Iterable[Path], source: object) -> LineShape:
    """The shape of the lines of many label files. Raises UserError if they may be key points as well as polygons."""
    rows = [row for file in islice(label_files, _FILES) for row in _long_rows(file)]
    if not rows:
        return LineShape()
    lengths = {len(row) for row in rows}
    length = min(lengths)
    if len(lengths) == 1 and (length - 4) % 3 == 0 and _share(_has_visibilities, rows) >= _NEARLY_ALL:
        return LineShape(True, (length - 4) // 3, 3)
    even = [row for row in rows if len(row) % 2 == 0]
    if not even:
        return LineShape()
    if _share(_is_tight, even) >= _NEARLY_ALL:
        return LineShape(box_first=True)
    if _share(_is_inside, even) >= (0.5 if len(lengths) == 1 else _NEARLY_ALL):
        points = (length - 4) // 2
        raise UserError(
            f"{source}: the lines of its YOLO labels have {length} numbers after the class: a polygon, or a box and "
            f"{points} key points? State `kpt_shape: [{points}, 2]` in a data.yaml, or `kpt_shape: null` for polygons"
        )
    return LineShape()


def _long_rows(file: Path) -> list[list[float]]:
    """The numbers after the class, of lines that have more than four."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
        return [row for line in lines if len(row := [float(word) for word in line.split()[1:]]) > 4]
    except (OSError, ValueError):  # missing, or not such a file: reading it reports that
        return []


def _share(holds: Callable[[list[float]], bool], rows: Sequence[list[float]]) -> float:
    return sum(map(holds, rows)) / len(rows)


def _has_visibilities(row: list[float]) -> bool:
    return set(row[6::3]) <= {0.0, 1.0, 2.0} and _is_inside([*row[:4], *_without_every_third(row[4:])])


def _without_every_third(values: list[float]) -> list[float]:
    return [value for index, value in enumerate(values) if index % 3 != 2]


def _corners(row: list[float]) -> tuple[float, float, float, float]:
    x, y, width, height = row[:4]
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _is_inside(row: list[float]) -> bool:
    """Whether the first four numbers are a box in the image around the points that follow; (0, 0) is an absent point."""
    xmin, ymin, xmax, ymax = _corners(row)
    points = [(x, y) for x, y in zip(row[4::2], row[5::2], strict=True) if (x, y) != (0.0, 0.0)]
    return (
        min(xmin, ymin) >= -_NEAR
        and max(xmax, ymax) <= 1 + _NEAR
        and all(xmin - _NEAR <= x <= xmax + _NEAR and ymin - _NEAR <= y <= ymax + _NEAR for x, y in points)
    )


def _is_tight(row: list[float]) -> bool:
    """Whether the first four numbers are the bounding box of the points that follow."""
    across, down = row[4::2], row[5::2]
    found = (min(across), min(down), max(across), max(down))
    return len(across) > 1 and all(abs(a - b) <= _NEAR for a, b in zip(found, _corners(row), strict=True))
