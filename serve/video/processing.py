"""Processes a video: decode, infer, draw, encode, and sound, each in a thread, in segments that outlive a kill."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from serve import detections
from serve.backends.batching import Batcher
from serve.detections import Detection
from serve.errors import Refused
from serve.jobs.limits import Limits
from serve.jobs.options import Options
from serve.video import audio
from serve.video.ahead import ahead
from serve.video.decoding import Decoder, Frame
from serve.video.drawing import draw
from serve.video.encoding import SegmentWriter
from serve.video.opening import VideoFacts
from serve.video.segments import Segment, SegmentFolder
from serve.video.tracking import Tracker
from trainers.detection.export import Export
from trainers.detection.samples import Found

SEGMENT_FRAMES = 128  # so much is done again after a kill: a few seconds of work
WAITING = 8  # frames between two stages; so many more as the network works on, while they are looked at
DOUBTFUL_SHARE = (
    0.5  # of the threshold: scores that may continue a track, as ByteTrack's .1 against .5 and more
)


class Cancelled(Exception):
    """Whoever asked for the job wants it no more, or this process is to end; finished segments stay."""


@dataclass
class Progress:
    """Where a job stands: frames done of how many (0: unknown), those done by this process and since when.

    stages: seconds that each stage has worked (not waited). damaged: see Decoder.
    """

    frames: int = 0
    total: int = 0
    here: int = 0
    objects: int = 0
    damaged: int = 0
    began: float = field(default_factory=time.monotonic)
    stages: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def frames_per_second(self) -> float:
        """Of this process."""
        return self.here / max(time.monotonic() - self.began, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """By the speed so far; None while nothing is known."""
        if not self.total or not self.here:
            return None
        return max(0, self.total - self.frames) / self.frames_per_second


@dataclass(frozen=True)
class _Seen:
    """A frame on its way: with what was found in it; None for a frame that was not looked at."""

    frame: Frame
    found: list[Detection] | None
    shown: list[Detection]


class Process:
    """One video's processing.

    source: the video; facts: of it. work: folder for segments. threads: of the CPU, which the stages share.
    heard: called often with the progress; it may raise Cancelled.
    """

    def __init__(
        self,
        source: Path,
        facts: VideoFacts,
        work: Path,
        export: Export,
        batcher: Batcher,
        options: Options,
        limits: Limits,
        heard: Callable[[Progress], None],
        threads: int = 2,
        segment_frames: int = SEGMENT_FRAMES,
    ) -> None:
        self._source, self._facts, self._export, self._batcher = source, facts, export, batcher
        self._options, self._limits, self._heard = options, limits, heard
        self._coding_threads = max(1, threads // 2)  # the network has work for as many as there are
        self._segment_frames = segment_frames
        self.segments = SegmentFolder(work, options.suffix if options.annotate else None)
        self.progress = Progress(total=facts.frames)
        self._threshold = export.threshold if options.threshold is None else options.threshold

    def run(self) -> list[Segment]:
        """Finish every segment; those that are finished already are left alone. Returns all of them.

        Raises Refused when nothing can be decoded or a limit is passed on the way.
        """
        finished = self.segments.finished()
        first = finished[-1].next if finished else 0
        self.progress.frames = first
        decoder = Decoder(self._source, self._limits, first, self._coding_threads)
        tracker, last_seen = self._replayed(finished)
        # closed in order when something goes wrong, the last stage first, so that no thread outlives the job
        with contextlib.ExitStack() as stack:
            sound = self._sound(stack)
            frames = self._stage(stack, self._timed("decode", iter(decoder)), WAITING, "decode")
            asked = self._stage(stack, self._ask(frames), 2 * self._batcher.at_once, "ask")
            seen = self._seen(asked, tracker, last_seen)
            if self._options.annotate:
                seen = self._stage(stack, self._drawn(seen), WAITING, "draw")
            for number in itertools.count(len(finished)):
                chunk = itertools.islice(seen, self._segment_frames)
                segment = self._write(number, chunk)
                if segment is None:
                    break
                finished.append(segment)
            self.progress.damaged = decoder.damaged
            if sound is not None:
                sound.result()
        if not finished:
            raise Refused(422, "no frame of the video can be decoded")
        self.progress.total = self.progress.frames
        return finished

    def _sound(self, stack: contextlib.ExitStack) -> Future[None] | None:
        """The sound, made ready beside the pictures, where it is wanted."""
        if not (self._options.annotate and self._options.audio and self._facts.audio):
            return None
        stopped = threading.Event()
        beside = ThreadPoolExecutor(1, "sound")
        stack.callback(beside.shutdown)
        stack.callback(stopped.set)
        return beside.submit(audio.prepare, self._source, self.segments.sound, self._options.suffix, stopped)

    def _stage(self, stack: contextlib.ExitStack, items: Iterable, depth: int, name: str) -> Generator:  # type: ignore[type-arg]
        stage = ahead(items, depth, name)
        stack.callback(stage.close)
        return stage

    def _timed(self, name: str, items: Iterator[Frame]) -> Iterator[Frame]:
        while True:
            began = time.perf_counter()
            item = next(items, None)
            self.progress.stages[name] += time.perf_counter() - began
            if item is None:
                return
            yield item

    def _ask(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Future[Found] | None]]:
        for frame in frames:
            if frame.index % self._options.every:
                yield frame, None
                continue
            began = time.perf_counter()
            square = self._export.framing.square(frame.image)
            self.progress.stages["resize"] += time.perf_counter() - began
            yield frame, self._batcher.submit(square)

    def _seen(
        self,
        asked: Iterable[tuple[Frame, Future[Found] | None]],
        tracker: Tracker | None,
        shown: list[Detection],
    ) -> Iterator[_Seen]:
        for frame, future in asked:
            if future is None:
                yield _Seen(frame, None, shown)
                continue
            began = time.perf_counter()
            result = future.result()
            self.progress.stages["wait for network"] += time.perf_counter() - began
            height, width = frame.image.shape[:2]
            if tracker is None:
                shown = detections.of(result, self._export, self._options, height, width)
            else:
                low = self._options.model_copy(update={"threshold": self._threshold * DOUBTFUL_SHARE})
                tracked = tracker.update(detections.of(result, self._export, low, height, width))
                shown = [each for each in tracked if each.track is not None]
            yield _Seen(frame, shown, shown)

    def _drawn(self, seen: Iterable[_Seen]) -> Iterator[_Seen]:
        for each in seen:
            began = time.perf_counter()
            image = each.frame.image if each.frame.image.flags.writeable else np.copy(each.frame.image)
            draw(image, each.shown)
            self.progress.stages["draw"] += time.perf_counter() - began
            yield each

    def _write(self, number: int, chunk: Iterator[_Seen]) -> Segment | None:
        lines: list[str] = []
        first: Frame | None = None
        last = Fraction(0)
        count = 0
        with contextlib.ExitStack() as stack:
            writer: SegmentWriter | None = None
            for each in chunk:
                frame = each.frame
                height, width = frame.image.shape[:2]
                if first is None:
                    first = frame
                    if self._options.annotate:
                        writer = stack.enter_context(
                            SegmentWriter(
                                self.segments.partial_video(number), self._options.codec, width, height,
                                Fraction(self._facts.rate), self._coding_threads,
                            )
                        )  # fmt: skip
                if writer is not None:
                    began = time.perf_counter()
                    writer.write(frame.image, frame.time - first.time)
                    self.progress.stages["encode"] += time.perf_counter() - began
                if each.found is not None:
                    lines.append(detections.line(frame.index, float(frame.time), each.found, height, width))
                    self.progress.objects += len(each.found)
                last = frame.time
                count += 1
                self.progress.frames += 1
                self.progress.here += 1
                self._heard(self.progress)
        if first is None:
            return None
        end = last + 1 / Fraction(self._facts.rate)
        height, width = first.image.shape[:2]
        segment = Segment(number, first.index, count, str(first.time), str(end), height, width)
        self.segments.finish(segment, lines)
        return segment

    def _replayed(self, finished: list[Segment]) -> tuple[Tracker | None, list[Detection]]:
        """The tracker and the boxes to show, as they were after the finished segments."""
        tracker = Tracker(self._threshold) if self._options.track else None
        shown: list[Detection] = []
        for segment in finished:
            with self.segments.lines(segment.number).open(encoding="utf-8") as lines:
                for line in lines:
                    shown = [
                        Detection(tuple(o["box"]), o["score"], o["class_id"], o["class"], o.get("track"))
                        for o in json.loads(line)["objects"]
                    ]
                    if tracker is not None:
                        tracker.replay(shown)
        return tracker, shown


def stop_with(stopped: threading.Event) -> Callable[[Progress], None]:
    """A `heard` that cancels when the event is set."""

    def heard(_: Progress) -> None:
        if stopped.is_set():
            raise Cancelled

    return heard
