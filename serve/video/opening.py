"""Opens untrusted video files: no network access, no other files, nothing beyond the limits."""

from __future__ import annotations

import contextlib
import itertools
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from serve.errors import Refused
from serve.jobs.limits import Limits
from serve.video.clock import is_jump
from serve.video.rgb import Orientation, Pictures, pixel_ratio

# Container formats that FFmpeg may detect. Excluded: playlists (hls, dash, concat, sdp, ...), which refer to other
# files and addresses, and text, subtitles and images, which FFmpeg would open as videos.
FORMATS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,ivf,h264,hevc,obu,gif,mjpeg,m4v,yuv4mpegpipe,nut,dv,apng"
DEFAULT_RATE = Fraction(25)  # of a video that does not declare one
RATE_TOLERANCE = 0.2  # a declared rate that is further from the measured one is wrong
MEASURED_PACKETS, MEASURED_BYTES = 5000, 64 << 20


@dataclass(frozen=True)
class VideoFacts:
    """What a video file declares about itself.

    width, height: pixels, upright and square. rotation: degrees, counter-clockwise.
    rate: frames per second as a fraction ("30000/1001"), the average if it varies. seconds, frames: 0 if not declared.
    codec, audio: names of the codecs; audio is None without sound. notes: what the result will not have, and why.
    """

    width: int
    height: int
    rotation: int
    rate: str
    seconds: float
    frames: int
    codec: str
    audio: str | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file as an av container. Raises Refused (422) when it is not a video file."""
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    path.stat()  # a file that is missing is the server's fault, one that cannot be read as a video its sender's
    try:
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Refused(422, f"not a readable video ({reason})") from None
    with container:
        yield container


def video_stream(container: Any) -> Any:
    """The first video stream that is not a cover picture and has a decoder. Raises Refused (422) without one."""
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        what = "contains only sound" if container.streams.audio else "has no video stream"
        raise Refused(422, f"the file {what}; send a video")
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise Refused(
            422, "the pictures of the video have an unknown codec; convert it, for example to H.264"
        )
    return known[0]


def audio_stream(container: Any) -> Any:
    """The first audio stream with a decoder; None when there is none."""
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def rate_of(stream: Any) -> Fraction:
    """Declared frames per second, within the range that encoders support."""
    rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
    return Fraction(rate) if Fraction(1, 100) <= rate <= 1000 else DEFAULT_RATE


def probe(path: Path, limits: Limits) -> VideoFacts:
    """Read header and first frame. Raises Refused: 422 if it is not a readable video, 413 if it exceeds a limit."""
    measured = measure(path)
    with opened(path) as container:
        stream = video_stream(container)
        check_size(stream.codec_context.width, stream.codec_context.height, limits)
        rate = measured.rate_for(stream)
        # a clock that jumps makes the declared duration wrong; the times of the packets are right
        seconds = measured.seconds if measured.jumps and measured.whole else seconds_of(container, stream)
        if seconds > limits.seconds:
            raise Refused(413, f"the video is {seconds:.0f} s long; the limit is {limits.seconds:.0f} s")
        if stream.frames > limits.frames:
            raise Refused(413, f"the video has {stream.frames} frames; the limit is {limits.frames}")
        frame = _first_frame(container, stream)
        check_size(frame.width, frame.height, limits)
        height, width = Pictures(pixel_ratio(stream)).size(frame)
        check_size(width, height, limits)
        sound = audio_stream(container)
        deaf = sound is None and bool(container.streams.audio)
        notes: tuple[str, ...] = (
            ("the sound has an unknown codec; the result is without sound",) if deaf else ()
        )
        if stream.metadata.get("alpha_mode") == "1":  # of WebM, whose alpha FFmpeg's own decoders leave out
            notes += ("the transparency is not read: transparent parts are shown as they are stored",)
        return VideoFacts(
            width, height, Orientation(frame).rotation, str(rate), round(seconds, 3),
            stream.frames or (measured.frames if measured.whole else round(seconds * rate)),
            stream.codec_context.name, sound and sound.codec_context.name, notes,
        )  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """The times of a video's first packets.

    frames, seconds: of these packets, without jumps of the clock. jumps: whether there are any. whole: whether they are
    all of the video's packets.
    """

    frames: int
    seconds: float
    jumps: bool
    whole: bool

    def rate_for(self, stream: Any) -> Fraction:
        """Frames per second: as declared, unless the container only guesses and its packets say otherwise.

        MediaRecorder's files declare 1000 frames a second, the resolution of their times.
        """
        declared = rate_of(stream)
        if self.frames < 3 or not self.seconds:
            return declared
        measured = Fraction(self.frames / self.seconds).limit_denominator(1001)
        certain = stream.frames and stream.average_rate and not self.jumps
        agrees = abs(measured / declared - 1) <= RATE_TOLERANCE
        return declared if certain or agrees or not Fraction(1, 100) <= measured <= 1000 else measured


def measure(path: Path) -> Measured:
    """Read the video's packets, without decoding: up to MEASURED_PACKETS, or MEASURED_BYTES. Raises as `opened`."""
    stamps: list[Fraction] = []
    size, whole, jumps = 0, True, False
    with opened(path) as container, contextlib.suppress(av.error.FFmpegError):  # the file is truncated
        stream = video_stream(container)
        for packet in container.demux(stream):
            if packet.dts is not None:
                stamps.append(packet.dts * packet.time_base)
            size += packet.size
            if len(stamps) >= MEASURED_PACKETS or size > MEASURED_BYTES:
                whole = False
                break
    steps = []
    for before, after in itertools.pairwise(stamps):
        if is_jump(after, before):
            jumps = True
        else:
            steps.append(after - before)
    usual = statistics.median(steps) if steps else Fraction(0)
    return Measured(len(stamps), float(sum(steps) + (len(stamps) - len(steps)) * usual), jumps, whole)


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raise Refused when an image or frame exceeds the limit of pixels (413) or is too small (422)."""
    if width * height > limits.pixels:
        raise Refused(413, f"{width}x{height} is too large; the limit is {limits.pixels} pixels")
    if 0 < min(width, height) < limits.side or width * height == 0:
        raise Refused(
            422, f"{width}x{height} is too small; each side must have at least {limits.side} pixels"
        )


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
