"""ColourMap: which colour, or which value, of a mask stands for which class; given in `masks.yaml` or recognised."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from trainers.errors import UserError

GIVEN = "masks.yaml"
CAMVID = "label_colors.txt"
IGNORE = 255  # the value of pixels that neither training nor metrics count
MOST_CLASSES = 255
EXAMPLE = "a masks.yaml with `classes: {background: [255, 0, 0], person: [0, 255, 0]}`"

Code = int  # a mask's value as it is, or red * 65536 + green * 256 + blue


@dataclass(frozen=True)
class Unknown:
    """A value that a mask has and its map has not. code: the value. pixels: how many. x, y: the first of them."""

    code: Code
    pixels: int
    x: int
    y: int


@dataclass(frozen=True)
class ColourMap:
    """The classes of masks.

    classes: names; the class with index i is classes[i].
    codes: code -> index of its class; several codes may stand for one class.
    coloured: whether masks are RGB images; otherwise they have one value for each pixel (grey or palette PNG).
    ignored: codes of pixels without a class.
    where: the file that gives the map, or how it was recognised; for messages.
    """

    classes: tuple[str, ...]
    codes: Mapping[Code, int]
    coloured: bool
    ignored: frozenset[Code] = field(default_factory=frozenset)
    where: str = GIVEN

    def indices(self, pixels: np.ndarray) -> tuple[np.ndarray, list[Unknown]]:
        """Class indices of a mask.

        pixels: (H, W, 3) uint8 RGB if `coloured`, else (H, W) integer.
        Returns (H, W) uint8 with IGNORE where a pixel has no class, and the values that are not in the map.
        """
        codes = packed(pixels) if self.coloured else pixels.astype(np.int64)
        found, first, inverse, counts = np.unique(
            codes.ravel(), return_index=True, return_inverse=True, return_counts=True
        )
        unknown = [
            Unknown(int(code), int(count), int(at % codes.shape[1]), int(at // codes.shape[1]))
            for code, at, count in zip(found, first, counts, strict=True)
            if int(code) not in self.codes and int(code) not in self.ignored
        ]
        table = np.array([self.codes.get(int(code), IGNORE) for code in found], np.uint8)
        return table[inverse.ravel()].reshape(codes.shape), unknown

    def says(self, code: Code) -> str:
        """The code for people: `colour (255, 0, 0)` or `value 7`."""
        return f"colour ({code >> 16}, {code >> 8 & 255}, {code & 255})" if self.coloured else f"value {code}"


def packed(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) int64: red * 65536 + green * 256 + blue."""
    found: np.ndarray = pixels.astype(np.int64) @ np.array([65536, 256, 1])
    return found


def read(path: Path) -> ColourMap:
    """The map in a `masks.yaml`: `classes`, name -> colour [R, G, B] or value; and `ignore`, a list of such.

    Raises UserError if it cannot be read, a name or a colour is repeated, or colours and values are mixed.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not a text file") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(given, dict) or not isinstance(given.get("classes"), dict) or not given["classes"]:
        raise UserError(f"{path}: no `classes`; write {EXAMPLE}")
    if unknown := set(given) - {"classes", "ignore"}:
        raise UserError(f"{path}: unknown key '{min(map(str, unknown))}'; known are classes, ignore")
    ignored = given.get("ignore") or []
    if not isinstance(ignored, list):
        raise UserError(f"{path}: ignore: expected a list of colours [R, G, B] or of values")
    listed = [(str(name), value) for name, value in given["classes"].items()]
    return _made(listed, [("ignore", value) for value in ignored], path)


def read_camvid(path: Path) -> ColourMap:
    """The map in CamVid's `label_colors.txt`: a line `R G B name` for each class; `Void` is ignored."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if found := re.fullmatch(r"\s*(\d+)\s+(\d+)\s+(\d+)\s+(.+?)\s*", line):
            rows.append((found[4], [int(found[i]) for i in (1, 2, 3)]))
        elif line.strip():
            raise UserError(f"{path}:{number}: expected `R G B name`, got {line[:60]!r}")
    void = [row for row in rows if row[0].lower() in ("void", "unlabelled", "unlabeled")]
    return _made([row for row in rows if row not in void], void, path)


def _made(classes: list[tuple[str, Any]], ignored: list[tuple[str, Any]], path: Path) -> ColourMap:
    coloured = bool(classes) and isinstance(classes[0][1], list)
    codes: dict[Code, int] = {}
    for index, (name, value) in enumerate(classes):
        code = _code(name, value, coloured, path)
        if code in codes:
            raise UserError(
                f"{path}: {name}: has the colour of {classes[codes[code]][0]}; each needs its own"
            )
        codes[code] = index
    if not 0 < len(classes) <= MOST_CLASSES or len({name for name, _ in classes}) < len(classes):
        raise UserError(f"{path}: expected 1 to {MOST_CLASSES} classes of different names")
    outside = frozenset(_code(name, value, coloured, path) for name, value in ignored)
    if both := outside & codes.keys():
        raise UserError(f"{path}: ignore: {min(both)} is also the code of a class")
    return ColourMap(tuple(name for name, _ in classes), codes, coloured, outside, path.name)


def _code(name: str, value: Any, coloured: bool, path: Path) -> Code:
    whole = [each for each in (value if isinstance(value, list) else [value]) if type(each) is int]
    good = len(whole) == (3 if coloured else 1) and all(0 <= each <= 255 for each in whole)
    if not good or isinstance(value, list) is not coloured:
        wanted = "a colour [R, G, B]" if coloured else "a value"
        raise UserError(f"{path}: {name}: expected {wanted} of 0 to 255 like the others, got {value!r}")
    return whole[0] << 16 | whole[1] << 8 | whole[2] if coloured else whole[0]


# github.com/udacity/RoboND-DeepLearning-Project: its simulator's masks of a square seen from above
FOLLOW_ME = ColourMap(
    ("background", "people", "target"), {0xFF0000: 0, 0x00FF00: 1, 0x0000FF: 2}, True, where="Follow Me"
)
# github.com/mcordts/cityscapesScripts, helpers/labels.py: label id -> one of the 19 classes of the benchmark
_CITYSCAPES = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car",
    27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
CITYSCAPES = ColourMap(
    tuple(_CITYSCAPES.values()),
    {code: index for index, code in enumerate(_CITYSCAPES)},
    False,
    frozenset({*range(34), 255} - _CITYSCAPES.keys()),
    "Cityscapes label ids",
)
