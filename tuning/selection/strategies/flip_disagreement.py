"""Disagreement with the mirrored image: a box that moves or vanishes when the picture is mirrored is an unsure one.

Consistency under horizontal flips (Elezi, Yu, Anandkumar, Leal-Taixe, Alvarez: "Not all labels are equal", CVPR 2022);
of a box, it is that of `disagreement`.
"""

from __future__ import annotations

import numpy as np

from tuning.selection.scored import Scored
from tuning.selection.strategies.disagreement import unmatched
from tuning.selection.strategy import Strategy, register


def score(image: Scored, classes: np.ndarray) -> float:
    """What the image and its mirror image do not have in common."""
    assert image.mirrored is not None
    return unmatched(image.found, image.mirrored) + unmatched(image.mirrored, image.found)


FLIP = register(
    Strategy(
        "flip-disagreement", "disagreement with the mirrored image", "Elezi et al., CVPR 2022", score,
        needs=frozenset({"mirrored"}), unit="boxes",
    )
)  # fmt: skip
