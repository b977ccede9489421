"""The sound of a video for another container: packets are copied if it allows their codec, else encoded anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from serve.jobs.options import Container
from serve.video.clock import is_jump
from serve.video.opening import audio_stream, opened, video_stream
from trainers.files import sync, write_text

# codecs that browsers play in each container, and the encoder for all other sound
PLAYABLE = {"webm": ("opus", "vorbis"), "mp4": ("aac", "mp3", "opus")}
ENCODER = {"webm": "libopus", "mp4": "aac"}
BIT_RATE = 128_000
RATE = 48_000  # samples per second of encoded sound
LATE = RATE // 25  # samples; a smaller gap is a rounding of times, a larger one is filled with silence
HELD = 1000  # packets of sound that wait for the jump of the pictures


def extract(
    source: Path, target: Path, container: Container, frame_time: Fraction, stopped: threading.Event
) -> str | None:
    """Write the source's sound to `target` for `container`, complete or not at all; what is wrong with it, or None.

    With sound that cannot be decoded, or none at all, the reason is written in its place, and `target` does not exist.
    frame_time: seconds of a video frame. Does nothing if this was done before; returns early once `stopped` is set.
    """
    silent = target.with_suffix(".silent")
    if silent.exists():
        return silent.read_text(encoding="utf-8")
    if target.exists():
        return None
    partial = target.with_name(f"{target.name}.part")
    try:
        packets = 0
        with av.open(str(partial), "w", format=container) as output:
            for packet in _Sound(source, output, container, frame_time).packets():
                if stopped.is_set():
                    return None
                output.mux(packet)
                packets += 1
        problem = None if packets else "the sound is empty"
    except (OSError, MemoryError):
        raise
    except (av.error.FFmpegError, ValueError) as error:
        problem = f"the sound cannot be decoded ({getattr(error, 'strerror', None) or error})"
    if problem is not None:
        partial.unlink(missing_ok=True)
        write_text(silent, f"{problem}; the result is without sound")
        return silent.read_text(encoding="utf-8")
    sync(partial)
    partial.replace(target)
    return None


def copied(source: Path, output: Any) -> Iterator[tuple[float, Any]]:
    """The sound in `source`, which `extract` wrote: (seconds from the video's start, packet for `output`), in order."""
    with av.open(str(source)) as file:
        stream = output.add_stream_from_template(file.streams.audio[0], opaque=True)
        for packet in file.demux(file.streams.audio[0]):
            if packet.pts is not None:
                packet.stream = stream
                yield float(packet.pts * packet.time_base), packet


class _Sound:
    """The first audio stream of `source`, as a stream of the av container `output`."""

    def __init__(self, source: Path, output: Any, container: Container, frame_time: Fraction) -> None:
        self._source, self._frame_time = source, frame_time
        with opened(source) as file:
            template = audio_stream(file)
            self._copied = template.codec_context.name in PLAYABLE[container]
            if self._copied:
                self._stream = output.add_stream_from_template(template, opaque=True)
            else:
                self._stream = output.add_stream(ENCODER[container], rate=RATE)
                self._stream.bit_rate = BIT_RATE
                self._stream.layout = "stereo" if template.codec_context.channels > 1 else "mono"

    def packets(self) -> Iterator[Any]:
        """The packets for the output, whose times are seconds from the video's start, in order."""
        with opened(self._source) as file:
            sound = audio_stream(file)
            timed = _timed(file, sound, self._frame_time)
            yield from self._copies(timed) if self._copied else self._encoded(timed, sound.codec_context)

    def _copies(self, timed: Iterator[tuple[Fraction, Any]]) -> Iterator[Any]:
        last = -1
        for time, packet in timed:
            stamp = round(time / packet.time_base)
            if packet.size and stamp > last:
                packet.pts = packet.dts = last = stamp
                packet.stream = self._stream
                yield packet

    def _encoded(self, timed: Iterator[tuple[Fraction, Any]], decoder: Any) -> Iterator[Any]:
        context = self._stream.codec_context
        fifo = av.AudioFifo()
        samples = written = 0
        resampler = av.AudioResampler(format=context.format, layout=context.layout, rate=RATE)

        def add(frame: Any) -> None:
            nonlocal samples
            for resampled in resampler.resample(frame):
                resampled.pts = None
                samples += resampled.samples
                fifo.write(resampled)

        def frames(last: bool) -> Iterator[Any]:
            nonlocal written
            size = context.frame_size or 1024
            while (frame := fifo.read(size, partial=last)) is not None:
                frame.pts, frame.time_base, frame.sample_rate = written, Fraction(1, RATE), RATE
                written += frame.samples
                yield from self._stream.encode(frame)

        for time, frame in _decoded(timed, decoder):
            late = 0 if time is None else round(time * RATE) - samples
            if late < -LATE:  # the same time again
                continue
            if late > LATE:
                samples += late
                for piece in _silence(context, late):
                    fifo.write(piece)
            add(frame)
            yield from frames(last=False)
        if samples:
            add(None)
            yield from frames(last=True)
        yield from self._stream.encode(None)


def _decoded(timed: Iterator[tuple[Fraction, Any]], context: Any) -> Iterator[tuple[Fraction | None, Any]]:
    """(seconds, decoded frame); None for frames that follow the last.

    context: the decoder's. Packets that cannot be decoded are left out; raises FFmpegError if none can be.
    """
    failed, decoded = None, False
    for time, packet in timed:
        stamp = packet.pts
        try:
            frames = packet.decode()
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError as error:
            failed = failed or error
            continue
        for frame in frames:
            # a frame may come later than its packet: its own stamp says by how much
            shift = (frame.pts - stamp) * frame.time_base if frame.pts is not None else 0
            frame.pts, decoded = None, True
            yield time + shift, frame
    if failed is not None and not decoded:
        raise failed
    for frame in context.decode(None):
        frame.pts = None
        yield None, frame


def _silence(context: Any, samples: int) -> Iterator[Any]:
    """Frames of silence with `samples` samples in all."""
    dtype = {"fltp": np.float32, "flt": np.float32}.get(context.format.name, np.int16)
    channels = context.layout.nb_channels
    while samples > 0:
        count = min(samples, RATE)
        shape = (channels, count) if context.format.is_planar else (1, channels * count)
        frame = av.AudioFrame.from_ndarray(np.zeros(shape, dtype), context.format.name, context.layout.name)
        frame.sample_rate = RATE
        yield frame
        samples -= count


def _timed(file: Any, sound: Any, frame_time: Fraction) -> Iterator[tuple[Fraction, Any]]:
    """(seconds from the video's start, packet) of the sound.

    Where the clock jumps, as in recordings joined with `cat`, the sound is moved by as much as the pictures are: they
    continue one frame after the last, see serve.video.clock.
    """
    start = Fraction(file.start_time or 0, av.time_base)
    video = video_stream(file)
    offsets = [Fraction(0)]  # of each part between two jumps
    end = sound_end = Fraction(0)  # of the pictures and of the sound so far
    last: dict[int, Fraction] = {}
    part = 0  # of the sound
    held: list[tuple[Fraction, Any]] = []
    demuxed = iter(file.demux(sound, video))
    while True:
        try:
            packet = next(demuxed, None)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:  # the file is truncated
            packet = None
        if packet is None:
            break
        if packet.pts is None or packet.dts is None:
            continue
        index, now = packet.stream_index, packet.dts * packet.time_base
        jumps = index in last and is_jump(now, last[index])
        last[index] = now
        stamp = packet.pts * packet.time_base - start
        if index == video.index:
            if jumps:
                offsets.append(end + frame_time - stamp)
                yield from ((time + offsets[part], each) for time, each in held if part < len(offsets))
                held.clear()
            end = max(end, stamp + offsets[-1])
            continue
        part += jumps
        if part < len(offsets):
            time = stamp + offsets[part]
            sound_end = max(sound_end, time + (packet.duration or 0) * packet.time_base)
            if time >= 0:
                yield time, packet
            continue
        held.append((stamp, packet))
        if len(held) > HELD:  # only the sound jumps
            offsets.append(sound_end - held[0][0])
            yield from ((time + offsets[part], each) for time, each in held)
            held.clear()
    for time, each in held:
        yield time + sound_end - held[0][0], each
