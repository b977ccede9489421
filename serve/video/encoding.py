"""Encodes one segment of a video: a file of its own, which begins with a key frame at time 0."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np

from serve.jobs.options import Codec
from trainers.files import sync

os.environ.setdefault("SVT_LOG", "1")  # otherwise the AV1 encoder prints to stderr for each segment

TIME_BASE = Fraction(
    1, 90_000
)  # exact for 24, 25, 30 and 60 Hz and their 1000/1001 variants; WebM stores milliseconds

MAX_RATE = Fraction(
    120
)  # frames per second that all encoders take; only a hint, the times of the frames count
# of the colours, because OpenCV converts to YUV by BT.601, limited range; without tags players take HD for BT.709
TAGS = {"colorspace": 6, "color_range": 1, "color_primaries": 1, "color_trc": 1}

# FFmpeg encoder and options; constant quality, so that no seams are visible between segments
ENCODERS: dict[Codec, tuple[str, dict[str, str]]] = {
    # its quality is constant below the bitrate, which is higher than any video needs
    "vp8": ("libvpx", {
        "deadline": "realtime", "cpu-used": "16", "lag-in-frames": "0", "b": "1G", "crf": "25", "g": "240",
    }),
    "vp9": ("libvpx-vp9", {
        "deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "b": "0", "crf": "33", "g": "240",
    }),
    # without low delay, with which FFmpeg waits for each frame's packet inside the encoder: seen to wait for ever
    "av1": ("libsvtav1", {"preset": "12", "crf": "35", "g": "240"}),
    "h264": ("libx264", {"preset": "veryfast", "crf": "23", "tune": "zerolatency", "g": "240"}),
}  # fmt: skip
# options that let an encoder use several threads, for about 5% more CPU time; with row-mt it was up to 20%
MULTITHREADED: dict[Codec, dict[str, str]] = {"vp9": {"tile-columns": "2"}}
# its threads wait for each other in loops, which take the cores from the other stages: half of the frames a second
ONE_THREAD: frozenset[Codec] = frozenset({"vp8"})


def planes_of(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H * 3 / 2, W) uint8, the planes Y, U and V in BT.601, limited range.

    An odd height or width is made even by repeating the last row or column.
    """
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    # OpenCV takes a third of the time of FFmpeg's scaler
    planes: np.ndarray = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    return planes


class SegmentWriter:
    """Writes one segment. A context manager; after a normal exit the file is complete and synced to disk.

    width, height: of the frames, pixels; an odd one is made even by repeating the last column or row.
    rate: average frames per second, a hint for the encoder.
    """

    def __init__(
        self, path: Path, codec: Codec, width: int, height: int, rate: Fraction, threads: int
    ) -> None:
        self._path = path
        name, options = ENCODERS[codec]
        if codec in ONE_THREAD:
            threads = 1
        if threads > 1:
            options = options | MULTITHREADED.get(codec, {})
        # the format is given because the file name ends in .part
        self._file: Any = av.open(str(path), "w", format="mp4" if codec == "h264" else "webm")
        hint = min(rate, MAX_RATE).limit_denominator(1001)
        self._stream: Any = self._file.add_stream(name, rate=hint, options=options)
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = TIME_BASE
        self._stream.codec_context.thread_count = threads
        for field, value in TAGS.items():
            setattr(self._stream.codec_context, field, value)
        self._last = -1

    def __enter__(self) -> SegmentWriter:
        return self

    def write(self, planes: np.ndarray, time: Fraction) -> None:
        """Add a frame as `planes_of` returns it, `time` seconds after the segment's start."""
        frame = av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
        for field, value in TAGS.items():
            setattr(frame, field, value)
        if self._last < 0:
            with _same_scheduling():
                self._file.start_encoding()
        frame.pts = max(round(time / TIME_BASE), self._last + 1)
        frame.time_base = TIME_BASE
        self._last = frame.pts
        self._file.mux(self._stream.encode(frame))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._file.mux(self._stream.encode())
        finally:
            self._file.close()
        if kind is None:
            sync(self._path)


@contextlib.contextmanager
def _same_scheduling() -> Iterator[None]:
    """Undo what the AV1 encoder does when it opens in a process of root's, as in a container.

    It makes its threads, and the one that opens it, real-time threads of the highest priority, which starve every
    other process of the machine; what the process starts later inherits that.
    """
    before = os.sched_getscheduler(0) if sys.platform == "linux" else None
    try:
        yield
    finally:
        if sys.platform == "linux" and before == os.SCHED_OTHER:
            for thread in (int(entry.name) for entry in Path("/proc/self/task").iterdir()):
                with contextlib.suppress(ProcessLookupError):  # it has ended since
                    if os.sched_getscheduler(thread) != before:
                        os.sched_setscheduler(thread, before, os.sched_param(0))
