"""Opens a video that nobody vouches for: no network, no other files, nothing beyond the limits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from serve.errors import Refused
from serve.jobs.limits import Limits

# What FFmpeg may take the file for. Playlists (hls, dash, concat, sdp, ...) name further files and addresses, and
# text, subtitles and images would be "videos" too: none of those is here.
FORMATS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,ivf,h264,hevc,obu,gif,mjpeg,m4v,yuv4mpegpipe,nut,dv,apng"
RATE = Fraction(25)  # of a video that does not say


@dataclass(frozen=True)
class VideoFacts:
    """What a video says of itself.

    width, height: pixels, after its rotation. rotation: degrees, counter-clockwise.
    rate: frames a second, exactly ("30000/1001"), an average where it varies. seconds, frames: 0 where it does not say.
    """

    width: int
    height: int
    rotation: int
    rate: str
    seconds: float
    frames: int
    codec: str
    audio: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return asdict(self)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file as an av container. Raises Refused (422) when it is no video file."""
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    try:
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Refused(422, f"not a video that can be read ({reason})") from None
    with container:
        yield container


def video_stream(container: Any) -> Any:
    """The container's video; cover pictures do not count. Raises Refused (422) when there is none."""
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        what = "only sound" if container.streams.audio else "no video stream"
        raise Refused(422, f"there is {what} in the file; give a video")
    return streams[0]


def rate_of(stream: Any) -> Fraction:
    """Frames a second, within what encoders take."""
    rate = stream.average_rate or stream.guessed_rate or RATE
    return Fraction(rate) if Fraction(1, 100) <= rate <= 1000 else RATE


def probe(path: Path, limits: Limits) -> VideoFacts:
    """What the file says of itself, from its header and first frame. Raises Refused: 422 for none, 413 for too much."""
    with opened(path) as container:
        stream = video_stream(container)
        check_size(stream.codec_context.width, stream.codec_context.height, limits)
        seconds = seconds_of(container, stream)
        if seconds > limits.seconds:
            raise Refused(413, f"the video lasts {seconds:.0f} s; at most {limits.seconds:.0f} s are taken")
        if stream.frames > limits.frames:
            raise Refused(413, f"the video has {stream.frames} frames; at most {limits.frames} are taken")
        frame = _first_frame(container, stream)
        check_size(frame.width, frame.height, limits)
        rotation = rotation_of(frame)
        width, height = (frame.width, frame.height) if rotation % 180 == 0 else (frame.height, frame.width)
        audio = container.streams.audio[0].codec_context.name if container.streams.audio else None
        rate = rate_of(stream)
        return VideoFacts(
            width, height, rotation, str(rate), round(seconds, 3),
            stream.frames or round(seconds * rate), stream.codec_context.name, audio,
        )  # fmt: skip


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raise Refused when a picture is too small to see anything in, or larger than the server takes."""
    if width * height > limits.pixels:
        raise Refused(
            413, f"pictures of {width}x{height} are too large; at most {limits.pixels} pixels are taken"
        )
    if 0 < min(width, height) < limits.side or width * height == 0:
        raise Refused(
            422, f"pictures of {width}x{height} are too small; each side needs at least {limits.side}"
        )


def rotation_of(frame: Any) -> int:
    """Degrees, counter-clockwise, by which the frame wants to be turned: 0, 90, 180 or 270."""
    return int(round(frame.rotation / 90) * 90 % 360)


def seconds_of(container: Any, stream: Any) -> float:
    """How long the video says it lasts; 0 where it does not say."""
    if stream.duration and stream.time_base:
        return float(max(0, stream.duration * stream.time_base))
    return float(max(0, container.duration or 0) / av.time_base)


def _first_frame(container: Any, stream: Any) -> Any:
    packets = 0
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                return frame
        except av.error.FFmpegError:
            packets += 1
            if packets > 500:
                break
    raise Refused(422, "no frame of the video can be decoded")
