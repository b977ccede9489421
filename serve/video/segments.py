"""Segments: the finished parts of a video's processing, on disk, so that processing resumes after a kill.

<work>/000000.webm     the segment's encoded frames (if a video is to be made)
<work>/000000.jsonl    their detections
<work>/000000.json     marks both as complete; written last, atomically
<work>/sound.webm      the sound of the whole video (if it is to have sound); complete if it exists
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from serve.video.decoding import SeekPoint
from trainers.files import sync, write_text


@dataclass(frozen=True)
class Segment:
    """A finished segment.

    number: from 0. first, frames: index of its first frame, and how many it has. start, end: times of its first frame
    and of the frame after its last, seconds as a fraction ("3003/90000"). height, width: of its frames, pixels.
    seek: the last key frame before its end, from which decoding resumes; None if there is none. Segments of earlier
    versions have none.
    """

    number: int
    first: int
    frames: int
    start: str
    end: str
    height: int
    width: int
    seek: SeekPoint | None = None

    @property
    def next(self) -> int:
        """Index of the first frame after it."""
        return self.first + self.frames

    @property
    def start_time(self) -> Fraction:
        """Time of its first frame in seconds."""
        return Fraction(self.start)


class SegmentFolder:
    """The segments of one job. suffix: of their video files, or None if no video is made."""

    def __init__(self, folder: Path, suffix: str | None) -> None:
        self.folder = folder
        self._suffix = suffix
        folder.mkdir(parents=True, exist_ok=True)

    def finished(self) -> list[Segment]:
        """The finished segments in order, up to the first gap."""
        segments: list[Segment] = []
        while (mark := self.mark(len(segments))).exists():
            fields = json.loads(mark.read_text(encoding="utf-8"))
            if seek := fields.get("seek"):
                fields["seek"] = SeekPoint(**(seek | {"notes": tuple(seek["notes"])}))
            segments.append(Segment(**fields))
        return segments

    def mark(self, number: int) -> Path:
        """The file that exists when a segment is finished."""
        return self._path(number, "json")

    def video(self, number: int) -> Path:
        """A finished segment's video file."""
        assert self._suffix is not None
        return self._path(number, self._suffix)

    def lines(self, number: int) -> Path:
        """A finished segment's detections, JSON Lines."""
        return self._path(number, "jsonl")

    def objects(self, number: int) -> Iterator[list[dict[str, Any]]]:
        """What was found in each frame of a finished segment, as Finding.to_dict gave it."""
        with self.lines(number).open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)["objects"]

    def size(self, number: int) -> int:
        """Bytes that a finished segment adds to the results; its detections are in two of them."""
        video = self.video(number).stat().st_size if self._suffix is not None else 0
        return video + 2 * self.lines(number).stat().st_size

    def partial_video(self, number: int) -> Path:
        """Where to write a segment's video before `finish`."""
        return self.folder / f"{number:06}.part"

    @property
    def sound(self) -> Path:
        """The sound of the whole video."""
        return self.folder / f"sound.{self._suffix}"

    def finish(self, segment: Segment, lines: list[str]) -> None:
        """Mark a segment as finished, atomically, with its lines of detections."""
        write_text(self.lines(segment.number), "".join(lines))
        if self._suffix is not None:
            self.partial_video(segment.number).replace(self.video(segment.number))
        sync(self.folder)
        write_text(self.mark(segment.number), json.dumps(asdict(segment)))
        sync(self.folder)

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:06}.{suffix}"
