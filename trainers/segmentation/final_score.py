"""The final score of the Follow Me project: how well the person to follow is found, over three sets of frames.

Source: code/utils/scoring_utils.py and the notebook of github.com/udacity/RoboND-DeepLearning-Project. A frame is a true
positive or a false negative if the truth has more than 3 pixels of the target, and the prediction has or has not; a
false positive if the truth has at most 3 and the prediction more. The score is

    mean(average IoU of the target in `following`, in `patrol_with_target`) x TP / (TP + FP + FN)

with TP, FP and FN over all three sets, and the average IoU over the frames of a set; a frame in which neither truth nor
prediction has the target counts 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

TARGET = "target"  # the class of the person to follow
FOLLOWING, WITHOUT_TARGET, WITH_TARGET = "following", "patrol_without_target", "patrol_with_target"
SETS = (FOLLOWING, WITHOUT_TARGET, WITH_TARGET)
FEW_PIXELS = 3  # so many pixels of the target count as none


@dataclass(frozen=True)
class Frame:
    """A frame of one of the sets, in pixels of the target. scored: its set; "" for none."""

    true: int
    predicted: int
    both: int
    scored: str

    @property
    def iou(self) -> float:
        """Intersection over union; 0 without a union."""
        union = self.true + self.predicted - self.both
        return self.both / union if union else 0.0


@dataclass(frozen=True)
class FinalScore:
    """The score of B resamples, (B,) float64 each. iou: average IoU by set. weight: TP / (TP + FP + FN)."""

    score: np.ndarray
    weight: np.ndarray
    iou: Mapping[str, np.ndarray]


def frame(confusion: np.ndarray, target: int, scored: str) -> Frame:
    """The frame with this confusion matrix (metrics.ImageResult). target: index of its class."""
    return Frame(
        int(confusion[target].sum()), int(confusion[:, target].sum()), int(confusion[target, target]), scored
    )


def measured(frames: Sequence[Frame], counts: np.ndarray) -> FinalScore:
    """The score when frame i occurs counts[b, i] times. counts: (B, N) int. 0 where a resample has no such frame."""
    sets = np.array([each.scored for each in frames])
    scored = np.isin(sets, SETS)
    shown = np.array([each.true > FEW_PIXELS for each in frames])
    found = np.array([each.predicted > FEW_PIXELS for each in frames])
    hits, misses, alarms = (
        counts @ (scored & kind) for kind in (shown & found, shown & ~found, ~shown & found)
    )
    weight = hits / np.maximum(hits + misses + alarms, 1)
    values = np.array([each.iou for each in frames])
    iou = {}
    for name in (FOLLOWING, WITH_TARGET):
        here = counts * (sets == name)
        iou[name] = here @ values / np.maximum(here.sum(axis=1), 1)
    return FinalScore((iou[FOLLOWING] + iou[WITH_TARGET]) / 2 * weight, weight, iou)
