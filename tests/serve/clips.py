"""Small generated videos of a moving rectangle with known positions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from rectangles import picture


def position(index: int) -> tuple[float, float, float, float]:
    """Position of the rectangle in frame `index`: [ymin, xmin, ymax, xmax], normalised."""
    left = 0.05 + 0.6 * (index % 40) / 40
    return 0.3, left, 0.7, left + 0.25


def make(
    path: Path,
    frames: int = 30,
    size: tuple[int, int] = (64, 96),
    rate: Fraction | int = 25,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    audio: str | None = None,
    name: str = "red",
) -> Path:
    """A video of (height, width) with a rectangle of class `name`. times: of the frames, in seconds."""
    options = {"crf": "12", "g": "12"} if codec == "libx264" else {}
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90_000) if times is not None else 1 / Fraction(rate)
        sound = file.add_stream(audio, rate=48_000) if audio else None
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(*size, {name: position(index)}), format="rgb24")
            frame.pts = round(times[index] * 90_000) if times is not None else index
            frame.time_base = stream.codec_context.time_base
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        if sound is not None:
            seconds = float(frames / Fraction(rate))
            for start in range(0, int(48_000 * seconds), 960):
                tone = 0.3 * np.sin(
                    2 * np.pi * 440 * np.arange(start, start + 960) / 48_000, dtype=np.float32
                )
                part = av.AudioFrame.from_ndarray(
                    tone[np.newaxis].astype(np.float32), format="fltp", layout="mono"
                )
                part.sample_rate, part.pts = 48_000, start
                file.mux(sound.encode(part))
            file.mux(sound.encode(None))
    return path


def facts_of(path: Path) -> dict[str, object]:
    """Frame times, size, rate and length of the sound of a video, by decoding all of it."""
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        times = [frame.time for frame in file.decode(video)]
        size = video.codec_context.height, video.codec_context.width
        codec = video.codec_context.name
        duration = (file.duration or 0) / av.time_base
        has_sound = bool(file.streams.audio)
    sound = 0.0
    if has_sound:
        with av.open(str(path)) as file:
            sound = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
    return {"times": times, "size": size, "codec": codec, "duration": duration, "sound": sound}


def turned(source: Path, target: Path, rotation: int) -> Path:
    """The same packets with a display matrix that asks to be turned by `rotation` degrees counter-clockwise."""
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 4  # version and flags, then times, id, duration, ..., then the matrix
    assert data[at] == 0
    matrix = {
        90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), 270: (0, 1, -1, 0),
    }[rotation]  # fmt: skip
    a, b, c, d = (value * 0x10000 for value in matrix)
    values = (a, b, 0, c, d, 0, 0, 0, 0x40000000)
    packed = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    data[at + 40 : at + 76] = packed
    target.write_bytes(data)
    return target


def damaged(source: Path, target: Path, numbers: set[int]) -> Path:
    """The same video with noise in place of the packets with these numbers."""
    with av.open(str(source)) as file, av.open(str(target), "w") as output:
        stream = output.add_stream_from_template(file.streams.video[0])
        for number, packet in enumerate(file.demux(file.streams.video[0])):
            if packet.pts is None:
                continue
            copy = av.Packet(b"\0\0\0\1\x41" + bytes(range(200)) if number in numbers else bytes(packet))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe = packet.is_keyframe
            copy.stream = stream
            output.mux(copy)
    return target
