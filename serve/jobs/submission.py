"""Submission: what a client sent to become a job."""

from __future__ import annotations

from dataclasses import dataclass

from serve.jobs.options import Options
from serve.video.opening import VideoFacts


@dataclass(frozen=True)
class Submission:
    """name: the client's name of the video. source: "upload", or the video's URI. facts: None before it is fetched.

    output: the S3 prefix to which the results are copied; webhook: the URL that is told when the job ends; or None.
    size: bytes of a video that is not fetched yet, if they are known.
    uploaded: the object that the client has sent to the store of files.
    """

    name: str
    source: str
    options: Options
    facts: VideoFacts | None = None
    output: str | None = None
    webhook: str | None = None
    size: int = 0
    uploaded: str | None = None
