"""VideoPipeline: decodes, runs the network, draws and encodes, one thread per stage, in segments that survive a kill."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from serve import tasks
from serve.backends.batching import Batcher
from serve.errors import Refused
from serve.jobs.limits import Limits
from serve.jobs.options import Options
from serve.jobs.progress import Progress
from serve.tasks.task import Finding, FrameReader, ServedExport, frame_line
from serve.video import audio
from serve.video.decoding import Decoder, Frame
from serve.video.encoding import SegmentWriter, planes_of
from serve.video.opening import VideoFacts
from serve.video.prefetching import prefetch
from serve.video.segments import Segment, SegmentFolder

SEGMENT_FRAMES = 128  # the work lost when a process is killed: a few seconds
QUEUE_FRAMES = 8  # between two stages

Shadow = Callable[[np.ndarray, "Future[Any]"], None]


class Cancelled(Exception):
    """The job was cancelled, or this process is stopping. Finished segments are kept."""


@dataclass(frozen=True)
class _Result:
    """A frame after the network.

    found: what is in it, None for a skipped frame. shown: what to draw. planes: the drawn picture, see `planes_of`.
    """

    frame: Frame
    found: list[Finding] | None
    shown: list[Finding]
    planes: np.ndarray | None = None


class VideoPipeline:
    """The processing of one video.

    source: the video file; facts: its properties. work: folder for segments. threads: CPU threads shared by the stages.
    report: called after every frame, also those decoded again after a kill, and once when all are done; it may raise
    Cancelled. shadow: called with each frame that is detected in, and the future of its detections. on_segment: called
    with the number of each segment that is finished. notes: after `run`, what a user should know of the result.
    """

    def __init__(
        self,
        source: Path,
        facts: VideoFacts,
        work: Path,
        export: ServedExport,
        batcher: Batcher,
        options: Options,
        limits: Limits,
        report: Callable[[Progress], None],
        threads: int = 2,
        segment_frames: int = SEGMENT_FRAMES,
        shadow: Shadow | None = None,
        on_segment: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._source, self._facts, self._export, self._batcher = source, facts, export, batcher
        self._options, self._limits, self._report = options, limits, report
        self._decoding_threads = max(1, threads // 2)  # the network can use all of them
        # of all stages encoding takes the longest, so that with one thread it would hold up the others
        self._encoding_threads = min(threads, max(2, threads // 2))
        self._segment_frames = segment_frames
        self.segments = SegmentFolder(work, options.suffix if options.annotate else None)
        self.progress = Progress(total=facts.frames)
        self._shadow, self._on_segment = shadow, on_segment
        self.notes: list[str] = []
        self._task = tasks.of(export)
        self._least = self._task.least_score(export, options)

    def run(self) -> list[Segment]:
        """Process all frames after the last finished segment. Returns all segments, in order.

        Raises Refused when no frame can be decoded or the video turns out to exceed a limit.
        """
        finished = self.segments.finished()
        first = finished[-1].next if finished else 0
        self.progress.frames = first
        self.progress.written = sum(self.segments.size(segment.number) for segment in finished)
        decoder = Decoder(
            self._source, self._limits, first, self._decoding_threads, Fraction(self._facts.rate),
            finished[-1].seek if finished else None, skipped=lambda: self._report(self.progress),
            size=(finished[0].height, finished[0].width) if finished else None,
        )  # fmt: skip
        reader = self._task.reader(self._export, self._options)
        last_shown = self._replay(finished, reader)
        # on an error the stages are closed last one first, so that no thread outlives the job
        with contextlib.ExitStack() as stack:
            sound = self._start_sound(stack)
            few, many = self._depths()
            frames = self._stage(stack, self._timed("decode", iter(decoder)), few, "decode")
            submitted = self._stage(stack, self._submit(frames), many, "submit")
            results = self._results(submitted, reader, last_shown)
            if self._options.annotate:
                results = self._stage(stack, self._draw(results), few, "draw")
            for number in itertools.count(len(finished)):
                chunk = itertools.islice(results, self._segment_frames)
                segment = self._write(number, chunk)
                if segment is None:
                    break
                finished.append(segment)
                self.progress.written += self.segments.size(number)
                self._check_output(self.progress.written)
            self.progress.damaged = decoder.damaged
            silent = sound.result() if sound is not None else None
            self._note(decoder, silent, finished)
        if not finished:
            raise Refused(422, "no frame of the video can be decoded")
        self.progress.total = self.progress.frames
        self.progress.finished = True
        self._report(self.progress)
        return finished

    def _depths(self) -> tuple[int, int]:
        """How many frames wait between two stages, and for the network, within the limit of memory."""
        # RGB, and three halves of a byte for each pixel once it is drawn
        frames = 2 * self._limits.frame_bytes // (9 * self._facts.width * self._facts.height)
        many = max(1, min(2 * self._batcher.capacity, frames // 2))
        return max(1, min(QUEUE_FRAMES, (frames - many) // 2)), many

    def _check_output(self, size: int) -> None:
        if size > self._limits.output_bytes:
            raise Refused(
                413,
                f"the results exceed the limit of {self._limits.output_bytes} bytes after {self.progress.frames} "
                "frames; choose a higher threshold, fewer classes or every n-th frame",
            )

    def _note(self, decoder: Decoder, silent: str | None, finished: list[Segment]) -> None:
        """Collect what a user should know of the result."""
        self.notes = [*self._facts.notes, *decoder.notes, *([silent] if silent else [])]
        end, declared = float(Fraction(finished[-1].end)) if finished else 0.0, self._facts.seconds
        if end < declared - max(1.0, 0.05 * declared):
            self.notes.append(f"the file ends after {end:.1f} s of the {declared:.1f} s that it declares")

    def _start_sound(self, stack: contextlib.ExitStack) -> Future[str | None] | None:
        """Start extracting the sound in a thread of its own, if the result is to have sound."""
        if not (self._options.annotate and self._options.audio and self._facts.audio):
            return None
        stopped = threading.Event()
        executor = ThreadPoolExecutor(1, "sound")
        stack.callback(executor.shutdown)
        stack.callback(stopped.set)
        return executor.submit(
            audio.extract, self._source, self.segments.sound, self._options.suffix, 1 / Fraction(self._facts.rate),
            stopped,
        )  # fmt: skip

    def _stage(self, stack: contextlib.ExitStack, items: Iterable, depth: int, name: str) -> Generator:  # type: ignore[type-arg]
        stage = prefetch(items, depth, name)
        stack.callback(stage.close)
        return stage

    def _timed(self, name: str, items: Iterator[Frame]) -> Iterator[Frame]:
        while True:
            began = time.perf_counter()
            item = next(items, None)
            if item is None:
                return
            self.progress.stages[name].observe(time.perf_counter() - began)
            yield item

    def _submit(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Future[Any] | None]]:
        for frame in frames:
            if frame.index % self._options.every:
                yield frame, None
                continue
            began = time.perf_counter()
            square = self._export.square(frame.image)
            self.progress.stages["resize"].observe(time.perf_counter() - began)
            found = self._batcher.submit(square, least=self._least)
            if self._shadow is not None:
                self._shadow(frame.image, found)
            yield frame, found

    def _results(
        self,
        submitted: Iterable[tuple[Frame, Future[Any] | None]],
        reader: FrameReader,
        shown: list[Finding],
    ) -> Iterator[_Result]:
        for frame, future in submitted:
            if future is None:
                yield _Result(frame, None, shown)
                continue
            began = time.perf_counter()
            result = future.result()
            self.progress.stages["wait for network"].observe(time.perf_counter() - began)
            height, width = frame.image.shape[:2]
            shown = reader.read(result, height, width)
            yield _Result(frame, shown, shown)

    def _draw(self, results: Iterable[_Result]) -> Iterator[_Result]:
        for each in results:
            began = time.perf_counter()
            image = each.frame.image if each.frame.image.flags.writeable else np.copy(each.frame.image)
            self._task.draw(image, each.shown)
            # here and not in `_write`: encoding takes the longest of the threads
            planes = planes_of(image)
            self.progress.stages["draw"].observe(time.perf_counter() - began)
            yield replace(each, planes=planes)

    def _write(self, number: int, chunk: Iterator[_Result]) -> Segment | None:
        lines: list[str] = []
        first: Frame | None = None
        last, seek = Fraction(0), None
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
                                Fraction(self._facts.rate), self._encoding_threads,
                            )
                        )  # fmt: skip
                if writer is not None and each.planes is not None:
                    began = time.perf_counter()
                    writer.write(each.planes, frame.time - first.time)
                    self.progress.stages["encode"].observe(time.perf_counter() - began)
                if each.found is not None:
                    lines.append(frame_line(frame.index, float(frame.time), each.found, height, width))
                    self.progress.objects += len(each.found)
                last, seek = frame.time, frame.seek
                count += 1
                self.progress.frames += 1
                self.progress.here += 1
                self._report(self.progress)
        if first is None:
            return None
        end = last + 1 / Fraction(self._facts.rate)
        height, width = first.image.shape[:2]
        segment = Segment(number, first.index, count, str(first.time), str(end), height, width, seek)
        self.segments.finish(segment, lines)
        self._on_segment(number)
        return segment

    def _replay(self, finished: list[Segment], reader: FrameReader) -> list[Finding]:
        """Bring the reader into the state after the finished segments, and return what was shown then."""
        shown: list[Finding] = []
        for segment in finished:
            for objects in self.segments.objects(segment.number):
                shown = [self._task.from_dict(each) for each in objects]
                reader.replay(shown)
        return shown
