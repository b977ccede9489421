"""Tracker: gives detections of one video ids that stay with their objects, by ByteTrack's two associations.

ByteTrack (Zhang et al., ECCV 2022, arXiv 2110.06864): confident detections are matched to tracks first, doubtful ones
to the tracks left over, so that an object half hidden keeps its id. Here with a constant velocity instead of the paper's
Kalman filter, and matching by IoU alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from serve.detections import Detection
from trainers.detection.samples import iou_matrix

# as in the paper (its score limits are relative here to the score at which serving shows detections)
MATCH_IOU, DOUBTFUL_IOU = 0.2, 0.5
KEEP_FRAMES = 30


@dataclass
class _Track:
    number: int
    class_id: int
    box: np.ndarray
    velocity: np.ndarray
    unseen: int = 0

    def move(self, box: np.ndarray) -> None:
        """It is seen here: half of what was not foreseen goes into the velocity."""
        self.velocity = self.velocity + 0.5 * (box - self.box) / max(self.unseen, 1)
        self.box, self.unseen = box, 0


class Tracker:
    """Feed it the detections of each frame in order.

    doubtful: detections of lower scores continue tracks, and begin none.
    """

    def __init__(self, doubtful: float) -> None:
        self._doubtful = doubtful
        self._tracks: list[_Track] = []
        self._count = 0

    def update(self, detections: Sequence[Detection]) -> list[Detection]:
        """The same detections with their tracks; a doubtful one that continues none stays without."""
        self._advance()
        numbers: dict[int, int] = {}
        sure = [i for i, each in enumerate(detections) if each.score >= self._doubtful]
        rest = [i for i, each in enumerate(detections) if each.score < self._doubtful]
        left = list(self._tracks)
        for candidates, least in ((sure, MATCH_IOU), (rest, DOUBTFUL_IOU)):
            left = self._associate(detections, candidates, left, least, numbers)
        for i in sure:
            if i not in numbers:
                numbers[i] = self._count + 1
                self._begin(detections[i], numbers[i])
        self._forget()
        return [dataclasses.replace(each, track=numbers.get(i)) for i, each in enumerate(detections)]

    def replay(self, detections: Sequence[Detection]) -> None:
        """Take in a frame that an earlier tracker of the same video gave its tracks."""
        self._advance()
        known = {track.number: track for track in self._tracks}
        for each in detections:
            assert each.track is not None
            if each.track in known:
                known[each.track].move(np.array(each.box))
            else:
                self._begin(each, each.track)
        self._forget()

    def _advance(self) -> None:
        for track in self._tracks:
            track.box = track.box + track.velocity
            track.unseen += 1

    def _begin(self, detection: Detection, number: int) -> None:
        self._count = max(self._count, number)
        self._tracks.append(_Track(number, detection.class_id, np.array(detection.box), np.zeros(4)))

    def _forget(self) -> None:
        self._tracks = [track for track in self._tracks if track.unseen <= KEEP_FRAMES]

    def _associate(
        self,
        detections: Sequence[Detection],
        candidates: Sequence[int],
        tracks: list[_Track],
        least: float,
        numbers: dict[int, int],
    ) -> list[_Track]:
        """Match candidates to tracks of their class; the tracks left over."""
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
