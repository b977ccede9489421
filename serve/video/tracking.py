"""Tracker: multi-object tracking in one video by ByteTrack's two-step association.

ByteTrack (Zhang et al., ECCV 2022, arXiv 2110.06864): high-score detections are matched to tracks first, low-score ones
to the remaining tracks, so that a partly hidden object keeps its id. Differences from the paper: constant velocity
instead of a Kalman filter, and matching by IoU alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from serve.detections import Detection
from trainers.detection.samples import iou_matrix

# minimum IoU of a match in the first and the second step, and frames until a lost track is removed, as in the paper
HIGH_SCORE_IOU, LOW_SCORE_IOU = 0.2, 0.5
KEEP_FRAMES = 30


@dataclass
class _Track:
    number: int
    class_id: int
    box: np.ndarray
    velocity: np.ndarray
    unseen: int = 0

    def move(self, box: np.ndarray) -> None:
        """Set the observed box; half of the prediction error goes into the velocity."""
        self.velocity = self.velocity + 0.5 * (box - self.box) / max(self.unseen, 1)
        self.box, self.unseen = box, 0


class Tracker:
    """Call `update` with the detections of each frame, in order.

    threshold: only detections with at least this score begin a track; lower ones can continue one.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._tracks: list[_Track] = []
        self._count = 0

    def update(self, detections: Sequence[Detection]) -> list[Detection]:
        """The same detections with their track ids; None for a low-score one that matches no track."""
        self._advance()
        numbers: dict[int, int] = {}
        high = [i for i, each in enumerate(detections) if each.score >= self._threshold]
        low = [i for i, each in enumerate(detections) if each.score < self._threshold]
        left = list(self._tracks)
        for candidates, least in ((high, HIGH_SCORE_IOU), (low, LOW_SCORE_IOU)):
            left = self._associate(detections, candidates, left, least, numbers)
        for i in high:
            if i not in numbers:
                numbers[i] = self._count + 1
                self._begin(detections[i], numbers[i])
        self._remove_lost()
        return [dataclasses.replace(each, track=numbers.get(i)) for i, each in enumerate(detections)]

    def replay(self, detections: Sequence[Detection]) -> None:
        """Restore the state from a frame that an earlier tracker of the same video has processed."""
        self._advance()
        known = {track.number: track for track in self._tracks}
        for each in detections:
            assert each.track is not None
            if each.track in known:
                known[each.track].move(np.array(each.box))
            else:
                self._begin(each, each.track)
        self._remove_lost()

    def _advance(self) -> None:
        for track in self._tracks:
            track.box = track.box + track.velocity
            track.unseen += 1

    def _begin(self, detection: Detection, number: int) -> None:
        self._count = max(self._count, number)
        self._tracks.append(_Track(number, detection.class_id, np.array(detection.box), np.zeros(4)))

    def _remove_lost(self) -> None:
        self._tracks = [track for track in self._tracks if track.unseen <= KEEP_FRAMES]

    def _associate(
        self,
        detections: Sequence[Detection],
        candidates: Sequence[int],
        tracks: list[_Track],
        least: float,
        numbers: dict[int, int],
    ) -> list[_Track]:
        """Match candidates to tracks of the same class; returns the unmatched tracks."""
        if not candidates or not tracks:
            return tracks
        boxes = np.array([detections[i].box for i in candidates])
        overlap = iou_matrix(boxes, np.array([track.box for track in tracks]))
        same = np.array([[detections[i].class_id == track.class_id for track in tracks] for i in candidates])
        overlap = np.where(same, overlap, 0.0)
        matched = set()
        for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
            if overlap[row, column] < least:
                continue
            track = tracks[column]
            track.move(boxes[row])
            numbers[candidates[row]] = track.number
            matched.add(column)
        return [track for i, track in enumerate(tracks) if i not in matched]
