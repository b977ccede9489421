"""Decoding resumes at the last key frame, with the same frames, and hears a stop meanwhile."""

from __future__ import annotations

import clips
import numpy as np
import pytest

from serve.jobs.limits import Limits
from serve.jobs.options import Options
from serve.video.annotating import annotate
from serve.video.decoding import Decoder
from serve.video.opening import probe
from serve.video.pipeline import Cancelled

LIMITS = Limits(free_bytes=0)


class Killed(BaseException):
    """Raised in place of killing the process."""


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "webm", "avi"])
def test_decoding_resumes_at_a_key_frame_with_the_same_frames(container, tmp_path):
    codec = "libvpx" if container == "webm" else "libx264"
    source = clips.make(tmp_path / f"clip.{container}", 40, codec=codec)
    straight = list(Decoder(source, LIMITS))
    skipped = []
    resumed = list(
        Decoder(source, LIMITS, first=30, seek=straight[29].seek, skipped=lambda: skipped.append(1))
    )
    assert [(frame.index, frame.time) for frame in resumed] == [
        (frame.index, frame.time) for frame in straight[30:]
    ]
    for frame, expected in zip(resumed, straight[30:], strict=True):
        np.testing.assert_array_equal(frame.image, expected.image)
    if codec == "libx264" and container != "avi":
        assert len(skipped) < 12


def test_a_file_in_which_times_repeat_is_decoded_from_its_start(tmp_path):
    part = clips.make(tmp_path / "part.ts", 20).read_bytes()
    source = tmp_path / "joined.ts"
    other = clips.make(tmp_path / "other.ts", 20, name="blue").read_bytes()
    source.write_bytes(part + other)
    straight = list(Decoder(source, LIMITS))
    resumed = list(Decoder(source, LIMITS, first=34, seek=straight[33].seek))
    assert [(frame.index, frame.time) for frame in resumed] == [
        (frame.index, frame.time) for frame in straight[34:]
    ]
    np.testing.assert_array_equal(resumed[0].image, straight[34].image)


def test_a_stop_is_heard_while_decoding_what_was_done_before(rectangles, batcher, tmp_path, monkeypatch):
    source = clips.make(tmp_path / "clip.mp4", 60)
    monkeypatch.setattr(Decoder, "_can_seek", lambda self, point: False)

    def annotated(report):
        facts = probe(source, LIMITS)
        annotate(source, facts, tmp_path, rectangles, batcher, Options(), LIMITS, report, {}, 1, 16)

    def kill(progress):
        if progress.frames == 50:
            raise Killed

    with pytest.raises(Killed):
        annotated(kill)
    heard = []

    def stop(progress):
        heard.append(progress.here)
        raise Cancelled

    with pytest.raises(Cancelled):
        annotated(stop)
    assert heard == [0], "at the first frame, though 48 were done before"
