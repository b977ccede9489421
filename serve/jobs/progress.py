"""Progress: how far the processing of one video is, and what each stage of it costs."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial

from serve.metrics.families import STAGE_SECONDS
from serve.metrics.histogram import Histogram


@dataclass
class Progress:
    """Progress of one video.

    frames, total: done, and in the video (0: unknown). here, began: frames done by this process, and when it began
    (time.monotonic). objects: detections so far. damaged: see Decoder. stages: seconds of work on
    a frame, by stage, without waiting. written: bytes of the finished
    segments. finished: whether all frames are done.
    """

    frames: int = 0
    total: int = 0
    here: int = 0
    objects: int = 0
    damaged: int = 0
    began: float = field(default_factory=time.monotonic)
    stages: dict[str, Histogram] = field(
        default_factory=lambda: defaultdict(partial(Histogram, STAGE_SECONDS))
    )
    written: int = 0
    finished: bool = False

    @property
    def frames_per_second(self) -> float:
        """Speed of this process so far."""
        return self.here / max(time.monotonic() - self.began, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the speed so far; None while unknown."""
        if not self.total or not self.here:
            return None
        return max(0, self.total - self.frames) / self.frames_per_second
