"""Decodes a video frame by frame, with index and time. Damaged packets are counted and skipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from serve.errors import Refused
from serve.jobs.limits import Limits
from serve.video.opening import check_size, opened, rate_of, rotation_of, video_stream


@dataclass(frozen=True)
class Frame:
    """One frame.

    index: from 0, counting decodable frames only. time: seconds since the video's start.
    image: (H, W, 3) uint8 RGB, upright.
    """

    index: int
    time: Fraction
    image: np.ndarray


class Decoder:
    """Iterates over a video's frames from index `first` on; indices always count from the video's start.

    Frames before `first` are decoded as well (only then is a frame's index known), but not converted to RGB.
    threads: of the decoder; 0 lets FFmpeg decide.
    damaged: packets that could not be decoded and frames that were decoded with errors, so far.
    Raises Refused (413) when the video is longer than the limits allow.
    """

    def __init__(self, path: Path, limits: Limits, first: int = 0, threads: int = 0) -> None:
        self._path = path
        self._limits = limits
        self._first = first
        self._threads = threads
        self.damaged = 0

    def __iter__(self) -> Iterator[Frame]:
        with opened(self._path) as container:
            stream = video_stream(container)
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = self._threads
            clock = _Clock(stream, container)
            converter = VideoReformatter()
            size: tuple[int, int] | None = None
            for index, frame in enumerate(self._decoded(container, stream)):
                time = clock.time(frame)
                if index >= self._limits.frames or time > self._limits.seconds:
                    raise Refused(
                        413,
                        f"the video is longer than {index} frames, {float(time):.0f} s; "
                        f"the limit is {self._limits.frames} frames and {self._limits.seconds:.0f} s",
                    )
                if index < self._first:
                    continue
                check_size(frame.width, frame.height, self._limits)
                image = upright(frame, converter)
                size = size or image.shape[:2]
                if image.shape[:2] != size:  # the size may change within a stream; the result keeps the first
                    image = upright(
                        frame.reformat(size[1], size[0]) if not rotation_of(frame) % 180 else frame, converter
                    )
                    image = image[: size[0], : size[1]]
                yield Frame(index, time, image)

    def _decoded(self, container: Any, stream: Any) -> Iterator[Any]:
        demuxed = iter(container.demux(stream))
        while True:
            try:
                packet = next(demuxed)
            except StopIteration:
                return
            except av.error.FFmpegError:  # the file is truncated
                self.damaged += 1
                return
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                self.damaged += bool(frame.is_corrupt)
                yield frame


class _Clock:
    """Frame times as the file gives them, corrected where they do not increase."""

    def __init__(self, stream: Any, container: Any) -> None:
        self._frame_time = 1 / rate_of(stream)
        self._start = Fraction(container.start_time or 0, av.time_base)
        self._last: Fraction | None = None

    def time(self, frame: Any) -> Fraction:
        """Seconds since the start; at least a millisecond after the previous frame, the resolution of WebM."""
        if frame.pts is None:
            time = Fraction(0) if self._last is None else self._last + self._frame_time
        else:
            time = frame.pts * Fraction(frame.time_base) - self._start
        least = Fraction(0) if self._last is None else self._last + Fraction(1, 1000)
        self._last = max(time, least)
        return self._last


def upright(frame: Any, converter: VideoReformatter) -> np.ndarray:
    """An av frame -> (H, W, 3) uint8 RGB, rotated upright by the video's rotation.

    converter: use the same one for all frames of a video; creating one takes as long as a conversion.
    """
    image: np.ndarray = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    rotation = rotation_of(frame)
    return np.ascontiguousarray(np.rot90(image, rotation // 90)) if rotation else image
