"""Small generated videos of a moving rectangle with known positions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
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
    ratio: Fraction | None = None,
    silent: bool = False,
) -> Path:
    """A video of (height, width) with a rectangle of class `name`.

    times: of the frames, in seconds. ratio: width by height of a pixel. silent: a stream of sound without a sample.
    """
    options = {"crf": "12", "g": "12"} if codec == "libx264" else {}
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90_000) if times is not None else 1 / Fraction(rate)
        if ratio is not None:
            stream.codec_context.sample_aspect_ratio = ratio
        sound = file.add_stream(audio, rate=48_000) if audio else None
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(*size, {name: position(index)}), format="rgb24")
            frame.pts = round(times[index] * 90_000) if times is not None else index
            frame.time_base = stream.codec_context.time_base
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        if sound is not None and not silent:
            seconds = float(frames / Fraction(rate))
            for start in range(0, int(48_000 * seconds), 960):
                tone = 0.3 * np.sin(
                    2 * np.pi * 440 * np.arange(start, start + 960) / 48_000, dtype=np.float32
                )
                whole = audio in ("mp2", "flac", "pcm_s16le")  # encoders that take integers
                tone = (tone * 32_767).astype(np.int16) if whole else tone.astype(np.float32)
                part = av.AudioFrame.from_ndarray(
                    tone[np.newaxis], format="s16" if whole else "fltp", layout="mono"
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
    matrices = {90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), 270: (0, 1, -1, 0)}
    return with_matrix(source, target, matrices[rotation])


def with_matrix(source: Path, target: Path, matrix: tuple[int, int, int, int]) -> Path:
    """The same packets with the display matrix (a, b, c, d): x' = a x + c y, y' = b x + d y."""
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 4  # version and flags, then times, id, duration, ..., then the matrix
    assert data[at] == 0
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


def damaged_sound(source: Path, target: Path) -> Path:
    """The same video with noise in place of every packet of its sound."""
    with av.open(str(source)) as file, av.open(str(target), "w") as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in file.streams}
        for packet in file.demux():
            if packet.pts is None:
                continue
            copy = packet
            if packet.stream.type == "audio":
                copy = av.Packet(bytes(range(60, 160)))
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.stream = streams[packet.stream_index]
            output.mux(copy)
    return target


COLOUR = (200, 60, 30)


def coloured(
    path: Path, matrix: int, full: bool, size: tuple[int, int] = (120, 160), tagged: bool = True
) -> Path:
    """A video of COLOUR, converted by this matrix (an AVColorSpace) to full or limited range."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        if tagged:
            stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        image = np.full((*size, 3), COLOUR, np.uint8)
        for index in range(3):
            frame = VideoReformatter().reformat(
                av.VideoFrame.from_ndarray(image, format="rgb24"), format="yuv420p", dst_colorspace=matrix,
                dst_color_range=2 if full else 1,
            )  # fmt: skip
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def high_range(path: Path, transfer: int, signal: float) -> Path:
    """A grey video in BT.2020 with this transfer characteristic (an AVColorTransferCharacteristic) and signal level."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.height, stream.width = 64, 96
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = (
            9,
            9,
            transfer,
            1,
        )
        planes = [
            np.full((64, 96), round(64 + 876 * signal), np.uint16),
            *(2 * [np.full((32, 48), 512, np.uint16)]),
        ]
        for index in range(2):
            frame = av.VideoFrame(96, 64, "yuv420p10le")
            for plane, values in zip(frame.planes, planes, strict=True):
                rows = np.zeros((values.shape[0], plane.line_size // 2), np.uint16)
                rows[:, : values.shape[1]] = values
                plane.update(rows.tobytes())
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path
