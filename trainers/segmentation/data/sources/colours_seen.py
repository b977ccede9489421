"""The colours of masks whose classes nobody has stated, for the message that asks for them."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np

from trainers.datasets.files.paths import relative
from trainers.datasets.problems import Problems
from trainers.errors import UserError
from trainers.segmentation.data.checking import BadMask, read_mask
from trainers.segmentation.data.sources import colour_map, layout

LOOKED_AT = 20  # masks
MOST_COLOURS = 12  # that a message lists; with more, the masks are photographs or edges are blended


Colour = tuple[int, ...]  # red, green and blue; or one value


def ask_for_map(root: Path) -> UserError:
    """The error for a folder of masks without a colour map, with a `masks.yaml` made of its first masks' colours.

    The most frequent colour comes first, then the others by value. A lossy mask is the error itself, since
    no map would help.
    """
    pixels: Counter[Colour] = Counter()
    masks = [pair.mask for pair in itertools.islice(layout.pairs(root, Problems(str(root))), LOOKED_AT)]
    for path in masks:
        try:
            pixels += _colours(path.read_bytes())
        except BadMask as error:
            return UserError(f"{root}: {relative(path, root)}: {error}")
        except OSError:  # reported once there is a map
            continue
    missing = f"{root}: nothing says which colour is which class; add "
    # none was readable, or some are grey and some are in colour
    if len({len(colour) for colour in pixels}) != 1:
        return UserError(f"{missing}{colour_map.EXAMPLE}")
    if len(pixels) > MOST_COLOURS:
        return UserError(
            f"{missing}{colour_map.EXAMPLE}; its first masks have {len(pixels)} colours, so their edges may be blended"
        )
    first = max(pixels, key=lambda colour: pixels[colour])
    colours = [first, *sorted(pixels.keys() - {first})]
    names = ["background", *(f"class_{index}" for index in range(1, len(colours)))]
    listed = ", ".join(
        f"{name}: {list(colour) if len(colour) > 1 else colour[0]}"
        for name, colour in zip(names, colours, strict=True)
    )
    return UserError(
        f"{missing}a masks.yaml with your names in place of these: `classes: {{{listed}}}`, the colours of its first "
        "masks"
    )


def _colours(data: bytes) -> Counter[Colour]:
    """How many pixels of an encoded mask have each colour."""
    try:
        values, coloured = read_mask(data, coloured=False), False
    except BadMask:  # a colour image, or lossy
        values, coloured = colour_map.packed(read_mask(data, coloured=True)), True
    codes, counts = np.unique(values, return_counts=True)
    return Counter(
        {
            (code >> 16, code >> 8 & 255, code & 255) if coloured else (code,): count
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
        }
    )
