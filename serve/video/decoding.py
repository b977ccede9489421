"""Decodes a video frame by frame, with index and time. Damaged packets are counted and skipped."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from serve.errors import Refused
from serve.jobs.limits import Limits
from serve.video.clock import Clock
from serve.video.opening import check_size, opened, rate_of, video_stream
from serve.video.rgb import Pictures, pixel_ratio

SEEK_BEFORE = (0, 1, 5)  # seconds before a key frame to seek to: in MPEG-TS, seeking may arrive after it


@dataclass(frozen=True)
class SeekPoint:
    """A key frame, from which decoding can begin.

    index: of the frame. stamp: its presentation time in the stream's units. offset, last: the clock's state before it,
    seconds as fractions. picture: checksum of its picture. damaged, notes: the decoder's before it.
    """

    index: int
    stamp: int
    offset: str
    last: str | None
    picture: int
    damaged: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Frame:
    """One frame.

    index: from 0, counting decodable frames only. time: seconds since the video's start.
    image: (H, W, 3) uint8 RGB, upright, with square pixels. seek: the last key frame before it, or itself; or None.
    """

    index: int
    time: Fraction
    image: np.ndarray
    seek: SeekPoint | None = None


class Decoder:
    """Iterates over a video's frames from index `first` on; indices always count from the video's start.

    rate: frames per second; None for what the file declares. threads: of the decoder; 0 lets FFmpeg decide.
    seek: where to begin, at or before `first`; None, or a file that cannot seek: at the start. Frames before `first` are
    decoded as well (only then is a frame's index known), but not converted to RGB. skipped: called for each of them.
    size: height and width that all frames get, as frames before `first` had; None for those of the frame `first`.
    damaged: packets that could not be decoded and frames that were decoded with errors, so far. notes: what a user
    should know about the frames so far.
    Raises Refused (413) when the video is longer than the limits allow.
    """

    def __init__(
        self,
        path: Path,
        limits: Limits,
        first: int = 0,
        threads: int = 0,
        rate: Fraction | None = None,
        seek: SeekPoint | None = None,
        skipped: Callable[[], None] = lambda: None,
        size: tuple[int, int] | None = None,
    ) -> None:
        self._path, self._limits, self._first, self._threads = path, limits, first, threads
        self._rate, self._seek, self._skipped, self._size = rate, seek, skipped, size
        self._pictures = Pictures()
        self._clock: Clock | None = None
        self._notes: list[str] = []
        self._before = 0
        self.damaged = 0

    @property
    def notes(self) -> list[str]:
        """See the class."""
        jumps = self._clock.jumps if self._clock else []
        return list(dict.fromkeys([*self._notes, *jumps[:5], *self._pictures.notes]))

    def __iter__(self) -> Iterator[Frame]:
        if self._seek is not None and self._can_seek(self._seek):
            yield from self._frames(self._seek)
        else:
            yield from self._frames(None)

    def _can_seek(self, point: SeekPoint) -> bool:
        """Whether seeking arrives at the key frame itself: some formats cannot, and in joined files times repeat."""
        for self._before in SEEK_BEFORE:
            with self._opened() as (container, stream):
                first = next(self._from(container, stream, point), None)
                self.damaged = 0
                if first is not None and _checksum(first) == point.picture:
                    return True
        return False

    def _frames(self, point: SeekPoint | None) -> Iterator[Frame]:
        with self._opened() as (container, stream):
            self._pictures = Pictures(pixel_ratio(stream))
            start = Fraction(container.start_time or 0, av.time_base)
            clock = self._clock = Clock(start, 1 / (self._rate or rate_of(stream)))
            begin = 0
            decoded = self._decoded(container, stream)
            if point is not None:
                decoded = self._from(container, stream, point)
                begin, self.damaged = point.index, point.damaged
                self._notes = list(point.notes)
                clock.offset = Fraction(point.offset)
                clock.last = None if point.last is None else Fraction(point.last)
            seek = None
            size = self._size
            for index, frame in enumerate(decoded, begin):
                if frame.key_frame and frame.pts is not None:
                    seek = self._seek_point(index, frame, clock)
                time = clock.time(None if frame.pts is None else frame.pts * Fraction(frame.time_base))
                self._check_length(index, time)
                if index < self._first:
                    self._skipped()
                    continue
                height, width = self._pictures.size(frame)
                check_size(width, height, self._limits)
                image = self._pictures.picture(frame)
                size = size or image.shape[:2]
                if image.shape[:2] != size:  # the size may change within a stream; the result keeps the first
                    image = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)
                    self._pictures.notes[
                        "the size of the pictures changes; all were scaled to the first size"
                    ] = None
                yield Frame(index, time, image, seek)

    def _opened(self) -> Any:
        return _Opened(self._path, self._threads)

    def _seek_point(self, index: int, frame: Any, clock: Clock) -> SeekPoint:
        last = None if clock.last is None else str(clock.last)
        notes = tuple(self.notes)
        return SeekPoint(index, frame.pts, str(clock.offset), last, _checksum(frame), self.damaged, notes)

    def _check_length(self, index: int, time: Fraction) -> None:
        if index >= self._limits.frames or time > self._limits.seconds:
            raise Refused(
                413,
                f"the video is longer than {index} frames, {float(time):.0f} s; "
                f"the limit is {self._limits.frames} frames and {self._limits.seconds:.0f} s",
            )

    def _from(self, container: Any, stream: Any, point: SeekPoint) -> Iterator[Any]:
        """The frames from the key frame on. Frames that lead to it, of an open group of pictures, are left out."""
        try:
            before = round(self._before / stream.time_base)
            container.seek(max(0, point.stamp - before), stream=stream, backward=True, any_frame=False)
        except av.error.FFmpegError:
            return
        found = False
        for frame in self._decoded(container, stream):
            found = found or frame.pts == point.stamp
            if found:
                yield frame
            elif frame.pts is None or frame.pts > point.stamp:
                return

    def _decoded(self, container: Any, stream: Any) -> Iterator[Any]:
        demuxed = iter(container.demux(stream))
        while True:
            try:
                packet = next(demuxed)
            except StopIteration:
                return
            except av.error.MemoryError:
                raise
            except av.error.FFmpegError:  # the file is truncated
                self.damaged += 1
                return
            try:
                frames = packet.decode()
            except av.error.MemoryError:
                raise
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                self.damaged += bool(frame.is_corrupt)
                yield frame


class _Opened:
    """The open file and its video stream. A context manager."""

    def __init__(self, path: Path, threads: int) -> None:
        self._file = opened(path)
        self._threads = threads

    def __enter__(self) -> tuple[Any, Any]:
        container = self._file.__enter__()
        stream = video_stream(container)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = self._threads
        return container, stream

    def __exit__(self, *error: Any) -> None:
        self._file.__exit__(*error)


def _checksum(frame: Any) -> int:
    return zlib.crc32(memoryview(frame.planes[0]))
