"""Segments: what a video's processing has finished, kept in a folder so that a killed process goes on after it.

<work>/000000.webm     frames of the segment, encoded (where a video is wanted)
<work>/000000.jsonl    their detections
<work>/000000.json     the mark that both are whole; written last, atomically
<work>/sound.webm      the sound of the whole video, where it has one that is wanted; whole once it is there
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from trainers.files import write_text


@dataclass(frozen=True)
class Segment:
    """A finished stretch of frames.

    number: from 0. first, frames: number of its first frame, and how many. start, end: time of its first frame and
    of the one after its last, seconds as a fraction ("3003/90000"). height, width: pixels of its frames.
    """

    number: int
    first: int
    frames: int
    start: str
    end: str
    height: int
    width: int

    @property
    def next(self) -> int:
        """Number of the first frame after it."""
        return self.first + self.frames

    @property
    def start_time(self) -> Fraction:
        """Seconds."""
        return Fraction(self.start)


class SegmentFolder:
    """The segments of one job. `suffix`: of their videos, or None where there are none."""

    def __init__(self, folder: Path, suffix: str | None) -> None:
        self.folder = folder
        self._suffix = suffix
        folder.mkdir(parents=True, exist_ok=True)

    def finished(self) -> list[Segment]:
        """In order, up to the first that is missing."""
        segments: list[Segment] = []
        while (mark := self._path(len(segments), "json")).exists():
            segments.append(Segment(**json.loads(mark.read_text(encoding="utf-8"))))
        return segments

    def video(self, number: int) -> Path:
        """Of a finished segment."""
        assert self._suffix is not None
        return self._path(number, self._suffix)

    def lines(self, number: int) -> Path:
        """Of a finished segment: JSON Lines."""
        return self._path(number, "jsonl")

    def partial_video(self, number: int) -> Path:
        """Where to write a segment's video before `finish`."""
        return self.folder / f"{number:06}.part"

    @property
    def sound(self) -> Path:
        """Of the whole video."""
        return self.folder / f"sound.{self._suffix}"

    def finish(self, segment: Segment, lines: list[str]) -> None:
        """Make a segment finished: all of it, or nothing, whenever the process is killed."""
        write_text(self.lines(segment.number), "".join(lines))
        if self._suffix is not None:
            self.partial_video(segment.number).replace(self.video(segment.number))
        _sync_folder(self.folder)
        write_text(self._path(segment.number, "json"), json.dumps(asdict(segment)))
        _sync_folder(self.folder)

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:06}.{suffix}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
