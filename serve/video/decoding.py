"""Frames of a video, in order, each with its number and its time. What cannot be decoded is counted, not fatal."""

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

    index: from 0, of those that could be decoded. time: seconds since the video's start.
    image: (H, W, 3) uint8 RGB, upright.
    """

    index: int
    time: Fraction
    image: np.ndarray


class Decoder:
    """Iterates over a video's frames from number `first` on, always numbered from the video's start.

    Frames before `first` are decoded too (a frame's number is known only so), but not converted.
    threads: of the decoder; 0 for as many as FFmpeg thinks right.
    damaged: packets that could not be decoded and frames that decoded with errors, so far.
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
                        f"the video goes on beyond {index} frames and {float(time):.0f} s; "
                        f"at most {self._limits.frames} frames and {self._limits.seconds:.0f} s are taken",
                    )
                if index < self._first:
                    continue
                check_size(frame.width, frame.height, self._limits)
                image = upright(frame, converter)
                size = size or image.shape[:2]
                if image.shape[:2] != size:  # a stream may change its size; the result keeps the first
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
            except av.error.FFmpegError:  # the file ends in the middle of something
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
    """Times of frames: what the file says, made to rise where it does not."""

    def __init__(self, stream: Any, container: Any) -> None:
        self._frame_time = 1 / rate_of(stream)
        self._start = Fraction(container.start_time or 0, av.time_base)
        self._last: Fraction | None = None

    def time(self, frame: Any) -> Fraction:
        """Seconds since the start; at least a millisecond after the frame before, which is all that WebM can tell."""
        if frame.pts is None:
            time = Fraction(0) if self._last is None else self._last + self._frame_time
        else:
            time = frame.pts * Fraction(frame.time_base) - self._start
        least = Fraction(0) if self._last is None else self._last + Fraction(1, 1000)
        self._last = max(time, least)
        return self._last


def upright(frame: Any, converter: VideoReformatter) -> np.ndarray:
    """An av frame -> (H, W, 3) uint8 RGB, turned as the video asks.

    converter: one for all of a video's frames; to make its tables anew takes as long as to use them.
    """
    image: np.ndarray = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    rotation = rotation_of(frame)
    return np.ascontiguousarray(np.rot90(image, rotation // 90)) if rotation else image
