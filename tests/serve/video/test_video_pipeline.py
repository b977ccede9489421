"""The video pipeline: the result has every frame of the source once, at its time, with the right boxes."""

from __future__ import annotations

import json
import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import clips
import numpy as np
import pytest

from serve.errors import Refused
from serve.jobs.limits import Limits
from serve.jobs.options import Options
from serve.video.annotating import annotate
from serve.video.encoding import ENCODERS, SegmentWriter, planes_of
from serve.video.opening import probe
from serve.video.pipeline import Cancelled, VideoPipeline

LIMITS = Limits(free_bytes=0)


class Killed(BaseException):
    """Raised in place of killing the process."""


def run(
    source,
    work,
    rectangles,
    batcher,
    options=Options(),  # noqa: B008
    report=lambda progress: None,
    segment_frames=16,
    threads=1,
):
    facts = probe(source, LIMITS)
    manifest = annotate(
        source, facts, work, rectangles, batcher, options, LIMITS, report, {}, threads, segment_frames
    )
    lines = [json.loads(line) for line in (work / "result" / "detections.jsonl").read_text().splitlines()]
    video = work / "result" / manifest["files"]["video"] if options.annotate else None
    return manifest, lines, video


@pytest.mark.skipif(sys.platform != "linux", reason="scheduling is changed on Linux only")
@pytest.mark.parametrize("codec", ENCODERS)
def test_an_encoder_makes_no_real_time_threads_not_even_for_root(codec, tmp_path):
    with SegmentWriter(tmp_path / "segment.part", codec, 64, 48, Fraction(10), 2) as writer:
        writer.write(planes_of(np.zeros((48, 64, 3), np.uint8)), Fraction(0))
        policies = {os.sched_getscheduler(int(thread.name)) for thread in Path("/proc/self/task").iterdir()}
    assert policies == {os.SCHED_OTHER}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("codec", ["vp8", "vp9", "av1", "h264"])
def test_the_result_has_every_frame_once_at_its_time_with_its_box(
    codec, threads, rectangles, batcher, tmp_path
):
    source = clips.make(tmp_path / "clip.mp4", 40)
    manifest, lines, video = run(source, tmp_path, rectangles, batcher, Options(codec=codec), threads=threads)
    assert manifest["frames"] == 40
    assert [line["frame"] for line in lines] == list(range(40))
    for line in lines:
        (found,) = line["objects"]
        assert found["class"] == "red"
        np.testing.assert_allclose(found["box"], clips.position(line["frame"]), atol=0.04)
    facts = clips.facts_of(video)
    np.testing.assert_allclose(facts["times"], [i / 25 for i in range(40)], atol=0.0011)
    assert facts["size"] == (64, 96)
    assert facts["duration"] == pytest.approx(1.6, abs=0.05)


def test_boxes_are_drawn_at_their_positions(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", 3, size=(120, 160))
    _, lines, video = run(source, tmp_path, rectangles, batcher, Options(codec="h264"))
    with av.open(str(video)) as file:
        image = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    left, top, right, bottom = (round(v) for v in lines[0]["objects"][0]["pixels"])
    edge = image[bottom - 1 : bottom + 2, left + 5 : right - 5].reshape(-1, 3)
    inside = image[(top + bottom) // 2, (left + right) // 2]
    assert inside[0] > 200
    assert inside[1] < 60
    assert (edge[:, 1] > 90).any(), "the orange of the box contains green, the red of the rectangle does not"


def test_mp4_without_a_codec_takes_one_that_fits_it():
    assert (Options().codec, Options().suffix) == ("vp8", "webm")
    assert Options(container="mp4").codec == "vp9"


@pytest.mark.slow
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25, 2)])
@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_a_fractional_rate_is_kept(rate, codec, rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", 40, rate=rate)
    _, lines, video = run(source, tmp_path, rectangles, batcher, Options(codec=codec))
    expected = [float(i / rate) for i in range(40)]
    np.testing.assert_allclose(
        clips.facts_of(video)["times"], expected, atol=0.0011 if codec == "vp8" else 0.0001
    )
    np.testing.assert_allclose([line["time"] for line in lines], expected, atol=0.0001)


def test_a_variable_rate_is_kept(rectangles, batcher, tmp_path):
    times = np.cumsum(np.random.default_rng(1).choice([0.02, 0.04, 0.1, 0.5], 40)).tolist()
    source = clips.make(tmp_path / "clip.mkv", 40, times=[0.0, *times[:-1]])
    _, _, video = run(source, tmp_path, rectangles, batcher)
    np.testing.assert_allclose(clips.facts_of(video)["times"], [0.0, *times[:-1]], atol=0.0021)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("codec", "sound"), [("vp8", "aac"), ("vp8", "libopus"), ("h264", "aac"), ("h264", "libopus")]
)
def test_the_sound_is_kept_and_as_long_as_the_video(codec, sound, rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", 50, audio=sound)
    _, _, video = run(source, tmp_path, rectangles, batcher, Options(codec=codec))
    assert clips.facts_of(video)["sound"] == pytest.approx(2.0, abs=0.1)
    _, _, video = run(source, tmp_path / "silent", rectangles, batcher, Options(codec=codec, audio=False))
    assert clips.facts_of(video)["sound"] == 0.0


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_video_becomes_upright(rotation, rectangles, batcher, tmp_path):
    lying = clips.make(tmp_path / "lying.mp4", 4)
    source = clips.turned(lying, tmp_path / "clip.mp4", rotation)
    assert probe(source, LIMITS).rotation == rotation
    _, lines, video = run(source, tmp_path, rectangles, batcher)
    ymin, xmin, ymax, xmax = clips.position(0)
    expected = {
        90: (1 - xmax, ymin, 1 - xmin, ymax),
        180: (1 - ymax, 1 - xmax, 1 - ymin, 1 - xmin),
        270: (xmin, 1 - ymax, xmax, 1 - ymin),
    }[rotation]
    np.testing.assert_allclose(lines[0]["objects"][0]["box"], expected, atol=0.05)
    assert clips.facts_of(video)["size"] == ((64, 96) if rotation == 180 else (96, 64))


def test_odd_sizes_are_made_even_and_boxes_stay(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.webm", 4, size=(65, 97), codec="libvpx-vp9")
    _, lines, video = run(source, tmp_path, rectangles, batcher, Options(codec="h264"))
    assert clips.facts_of(video)["size"] == (66, 98)
    np.testing.assert_allclose(lines[0]["objects"][0]["box"], clips.position(0), atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed_at", "track"), [(1, True), (15, False), (16, True), (16, False), (17, True), (39, False)]
)
def test_after_a_kill_no_frame_is_lost_or_repeated(killed_at, track, rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", 40, audio="aac")
    options = Options(track=track, every=3)
    manifest, straight, _ = run(source, tmp_path / "straight", rectangles, batcher, options)

    def die(progress):
        if progress.frames == killed_at:
            raise Killed

    with pytest.raises(Killed):
        run(source, tmp_path, rectangles, batcher, options, die)
    (tmp_path / "work" / "000001.part").write_bytes(b"half a segment")
    (tmp_path / "work" / "sound.webm.part").write_bytes(b"half a sound")
    done, decoded_again = [], []

    def count(progress):
        (done if progress.here else decoded_again).append(progress.here)

    again, lines, video = run(source, tmp_path, rectangles, batcher, options, count)
    assert max(done) == 40 - (killed_at - 1) // 16 * 16, "finished segments are not processed again"
    assert len(decoded_again) < 12, "the video is decoded from the last key frame on"
    assert lines == straight
    assert again["frames"] == manifest["frames"] == 40
    assert len(clips.facts_of(video)["times"]) == 40
    assert clips.facts_of(video)["sound"] == pytest.approx(1.6, abs=0.1)


def test_cancelling_stops_at_the_next_frame_and_ends_all_threads(rectangles, batcher, tmp_path):
    import threading

    before = set(threading.enumerate())
    source = clips.make(tmp_path / "clip.mp4", 60, audio="aac")

    def cancel(progress):
        if progress.frames == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(source, tmp_path, rectangles, batcher, report=cancel)
    assert set(threading.enumerate()) == before


def test_detection_on_every_nth_frame_keeps_all_frames_in_the_video(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", 20)
    manifest, lines, video = run(source, tmp_path, rectangles, batcher, Options(every=4))
    assert [line["frame"] for line in lines] == [0, 4, 8, 12, 16]
    assert len(clips.facts_of(video)["times"]) == 20
    assert manifest["frames"] == 20


def test_threshold_and_classes_select_detections(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", 4)
    cases = ((Options(threshold=0.99), 0), (Options(classes=("green",)), 0), (Options(classes=("red",)), 1))
    for number, (options, count) in enumerate(cases):
        _, lines, _ = run(source, tmp_path / str(number), rectangles, batcher, options)
        assert all(len(line["objects"]) == count for line in lines)


def test_a_track_follows_its_object_until_it_jumps(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", 60)  # at frame 40 it jumps back
    _, lines, _ = run(source, tmp_path, rectangles, batcher, Options(track=True))
    tracks = [line["objects"][0]["track"] for line in lines]
    assert set(tracks[:40]) == {1}
    assert set(tracks[41:]) == {2}


def test_without_annotation_there_are_only_detections(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", 4)
    manifest, lines, video = run(source, tmp_path, rectangles, batcher, Options(annotate=False))
    assert video is None
    assert set(manifest["files"]) == {"detections", "coco"}
    assert len(lines) == 4


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_preview_has_several_frames(kind, rectangles, batcher, tmp_path):
    from PIL import Image

    source = clips.make(tmp_path / "clip.mp4", 50)
    run(source, tmp_path, rectangles, batcher, Options(preview=kind))
    with Image.open(tmp_path / "result" / f"preview.{kind}") as image:
        assert image.n_frames > 8


def test_coco_results_have_the_same_boxes_in_pixels(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", 5)
    _, lines, _ = run(source, tmp_path, rectangles, batcher)
    results = json.loads((tmp_path / "result" / "coco.json").read_text())
    assert len(results) == 5
    for line, result in zip(lines, results, strict=True):
        left, top, right, bottom = line["objects"][0]["pixels"]
        assert result["image_id"] == line["frame"]
        assert result["bbox"] == pytest.approx([left, top, right - left, bottom - top], abs=0.11)
        assert result["category_id"] == 1


def test_damaged_frames_are_counted_and_all_others_are_kept(rectangles, batcher, tmp_path):
    source = clips.damaged(clips.make(tmp_path / "whole.mkv", 60), tmp_path / "clip.mkv", {20, 21, 40})
    manifest, lines, _ = run(source, tmp_path, rectangles, batcher)
    assert 3 <= manifest["damaged"] < 30, "frames after a lost one have errors until the next key frame"
    assert 50 <= manifest["frames"] <= 57
    assert [line["frame"] for line in lines] == list(range(manifest["frames"]))


def test_a_truncated_video_gives_the_frames_it_has(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mkv", 60)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    manifest, _, _ = run(source, tmp_path, rectangles, batcher)
    assert 5 < manifest["frames"] < 60


def test_a_video_longer_than_declared_is_refused_at_the_limit(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mkv", 60)
    facts = probe(source, LIMITS)
    pipeline = VideoPipeline(
        source, facts, tmp_path / "work", rectangles, batcher, Options(), Limits(frames=20), lambda p: None, 1
    )
    with pytest.raises(Refused, match="longer than 20 frames") as error:
        pipeline.run()
    assert error.value.status == 413
