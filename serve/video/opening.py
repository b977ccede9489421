"""Opens untrusted video files: no network access, no other files, nothing beyond the limits."""

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

# Container formats that FFmpeg may detect. Excluded: playlists (hls, dash, concat, sdp, ...), which refer to other
# files and addresses, and text, subtitles and images, which FFmpeg would open as videos.
FORMATS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,ivf,h264,hevc,obu,gif,mjpeg,m4v,yuv4mpegpipe,nut,dv,apng"
DEFAULT_RATE = Fraction(25)  # of a video that does not declare one


@dataclass(frozen=True)
class VideoFacts:
    """What a video file declares about itself.

    width, height: pixels, after rotation. rotation: degrees, counter-clockwise.
    rate: frames per second as a fraction ("30000/1001"), the average if it varies. seconds, frames: 0 if not declared.
    codec, audio: names of the codecs; audio is None without sound.
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
        """Plain values for JSON."""
        return asdict(self)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file as an av container. Raises Refused (422) when it is not a video file."""
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    try:
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Refused(422, f"not a readable video ({reason})") from None
    with container:
        yield container


def video_stream(container: Any) -> Any:
    """The first video stream that is not a cover picture. Raises Refused (422) when there is none."""
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        what = "contains only sound" if container.streams.audio else "has no video stream"
        raise Refused(422, f"the file {what}; send a video")
    return streams[0]


def rate_of(stream: Any) -> Fraction:
    """Frames per second, within the range that encoders support."""
    rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
    return Fraction(rate) if Fraction(1, 100) <= rate <= 1000 else DEFAULT_RATE


def probe(path: Path, limits: Limits) -> VideoFacts:
    """Read header and first frame. Raises Refused: 422 if it is not a readable video, 413 if it exceeds a limit."""
    with opened(path) as container:
        stream = video_stream(container)
        check_size(stream.codec_context.width, stream.codec_context.height, limits)
        seconds = seconds_of(container, stream)
        if seconds > limits.seconds:
            raise Refused(413, f"the video is {seconds:.0f} s long; the limit is {limits.seconds:.0f} s")
        if stream.frames > limits.frames:
            raise Refused(413, f"the video has {stream.frames} frames; the limit is {limits.frames}")
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
    """Raise Refused when an image or frame exceeds the limit of pixels (413) or is too small (422)."""
    if width * height > limits.pixels:
        raise Refused(413, f"{width}x{height} is too large; the limit is {limits.pixels} pixels")
    if 0 < min(width, height) < limits.side or width * height == 0:
        raise Refused(
            422, f"{width}x{height} is too small; each side must have at least {limits.side} pixels"
        )


def rotation_of(frame: Any) -> int:
    """Degrees, counter-clockwise, by which to rotate the frame: 0, 90, 180 or 270."""
    return int(round(frame.rotation / 90) * 90 % 360)


def seconds_of(container: Any, stream: Any) -> float:
    """The declared duration in seconds; 0 if not declared."""
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
