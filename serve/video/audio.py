"""The sound of a video for another container: packets are copied if it allows their codec, else encoded anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from serve.jobs.options import Container
from serve.video.opening import opened
from trainers.files import sync

# codecs that browsers play in each container, and the encoder for all other sound
PLAYABLE = {"webm": ("opus", "vorbis"), "mp4": ("aac", "mp3", "opus")}
ENCODER = {"webm": "libopus", "mp4": "aac"}
BIT_RATE = 128_000


class AudioTrack:
    """The first audio stream of `source`, added as a stream to the av container `output`.

    timed: the source's times are relative to the video's start already, as `extract` writes them.
    Packets that cannot be decoded are left out.
    """

    def __init__(self, source: Path, output: Any, container: Container, timed: bool = False) -> None:
        self._source, self._timed = source, timed
        with opened(source) as file:
            template = file.streams.audio[0]
            self._copied = template.codec_context.name in PLAYABLE[container]
            if self._copied:
                self._stream = output.add_stream_from_template(template, opaque=True)
            else:
                self._stream = output.add_stream(ENCODER[container], rate=48_000)
                self._stream.bit_rate = BIT_RATE
                self._stream.layout = "stereo" if template.codec_context.channels > 1 else "mono"

    def packets(self) -> Iterator[tuple[float, Any]]:
        """(seconds from the video's start, packet for the output), in order."""
        with opened(self._source) as file:
            stream = file.streams.audio[0]
            start = 0 if self._timed else (file.start_time or 0) / av.time_base
            for packet in self._copies(file, stream) if self._copied else self._encoded(file, stream):
                if packet.pts is None:
                    continue
                packet.pts -= round(start / packet.time_base)
                packet.dts = packet.pts
                if packet.pts >= 0:
                    packet.stream = self._stream
                    yield float(packet.pts * packet.time_base), packet

    def _copies(self, file: Any, stream: Any) -> Iterator[Any]:
        try:
            yield from (packet for packet in file.demux(stream) if packet.size)
        except av.error.FFmpegError:  # the file is truncated
            return

    def _encoded(self, file: Any, stream: Any) -> Iterator[Any]:
        context = self._stream.codec_context
        frame_size = context.frame_size or None
        resampler = av.AudioResampler(
            format=context.format, layout=context.layout, rate=context.rate, frame_size=frame_size
        )
        for frame in self._frames(file, stream):
            for resampled in resampler.resample(frame):
                yield from self._stream.encode(resampled)
        for resampled in resampler.resample(None):
            yield from self._stream.encode(resampled)
        yield from self._stream.encode(None)

    def _frames(self, file: Any, stream: Any) -> Iterator[Any]:
        demuxed = iter(file.demux(stream))
        while True:
            try:
                packet = next(demuxed)
            except (StopIteration, av.error.FFmpegError):
                return
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            yield from frames


def extract(source: Path, target: Path, container: Container, stopped: threading.Event) -> None:
    """Write the source's sound to `target` for `container`, complete or not at all.

    Does nothing if `target` exists; returns early once `stopped` is set.
    """
    if target.exists():
        return
    partial = target.with_name(f"{target.name}.part")
    with av.open(str(partial), "w", format=container) as output:
        for _, packet in AudioTrack(source, output, container).packets():
            if stopped.is_set():
                return
            output.mux(packet)
    sync(partial)
    partial.replace(target)
