"""Videos as people really have them: turned, mirrored, joined, with odd clocks, pixels, colours and sound."""

from __future__ import annotations

import json
from fractions import Fraction

import av
import clips
import numpy as np
import pytest
from rectangles import picture

from serve.errors import Refused
from serve.jobs.limits import Limits
from serve.jobs.options import Options
from serve.video.annotating import WORK, annotate
from serve.video.decoding import Decoder
from serve.video.opening import probe
from serve.video.segments import SegmentFolder

LIMITS = Limits(free_bytes=0)
FAST = Options(codec="h264")


def run(source, work, rectangles, batcher, options=FAST, limits=LIMITS):
    facts = probe(source, limits)
    manifest = annotate(
        source, facts, work, rectangles, batcher, options, limits, lambda progress: None, {}, 1, 16
    )
    lines = [json.loads(line) for line in (work / "result" / "detections.jsonl").read_text().splitlines()]
    return manifest, lines, clips.facts_of(work / "result" / manifest["files"]["video"])


@pytest.mark.parametrize(
    ("matrix", "expected", "size"),
    [
        ((-1, 0, 0, 1), lambda y, x, b, r: (y, 1 - r, b, 1 - x), (64, 96)),  # mirrored
        ((1, 0, 0, -1), lambda y, x, b, r: (1 - b, x, 1 - y, r), (64, 96)),  # flipped
        ((0, 1, 1, 0), lambda y, x, b, r: (x, y, r, b), (96, 64)),  # mirrored and turned
        ((0, -1, -1, 0), lambda y, x, b, r: (1 - r, 1 - b, 1 - x, 1 - y), (96, 64)),
    ],
)
def test_a_mirrored_video_is_shown_as_players_show_it(matrix, expected, size, rectangles, batcher, tmp_path):
    source = clips.with_matrix(clips.make(tmp_path / "plain.mp4", 3), tmp_path / "clip.mp4", matrix)
    _, lines, video = run(source, tmp_path, rectangles, batcher)
    assert video["size"] == size
    np.testing.assert_allclose(lines[0]["objects"][0]["box"], expected(*clips.position(0)), atol=0.05)


@pytest.mark.parametrize("codec", ["vp8", "vp9", "av1", "h264"])
def test_a_rate_of_1000_is_taken_for_the_resolution_of_the_times(codec, rectangles, batcher, tmp_path):
    times = np.cumsum(np.random.default_rng(2).choice([0.016, 0.033, 0.067], 30)).tolist()
    source = clips.make(tmp_path / "clip.webm", 30, rate=1000, times=times, codec="libvpx")
    facts = probe(source, LIMITS)
    assert float(Fraction(facts.rate)) == pytest.approx(29 / (times[-1] - times[0]), rel=0.05)
    assert facts.frames == 30
    manifest, _, video = run(source, tmp_path, rectangles, batcher, Options(codec=codec))
    assert manifest["frames"] == len(video["times"]) == 30


@pytest.mark.parametrize(("ratio", "size"), [(Fraction(64, 45), (64, 136)), (Fraction(1, 2), (128, 96))])
def test_pixels_that_are_not_square_become_square(ratio, size, rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", 3, ratio=ratio)
    assert (probe(source, LIMITS).height, probe(source, LIMITS).width) == size
    _, lines, video = run(source, tmp_path, rectangles, batcher)
    assert video["size"] == size
    np.testing.assert_allclose(lines[0]["objects"][0]["box"], clips.position(0), atol=0.05)


def test_sound_of_an_unknown_codec_is_left_out_and_said(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mov", 5, audio="pcm_s16le")
    source.write_bytes(source.read_bytes().replace(b"sowt", b"zzzz"))
    manifest, _, video = run(source, tmp_path, rectangles, batcher)
    assert video["sound"] == 0.0
    assert manifest["notes"] == ["the sound has an unknown codec; the result is without sound"]


def test_pictures_of_an_unknown_codec_are_refused(tmp_path):
    source = clips.make(tmp_path / "clip.mov", 5)
    source.write_bytes(source.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(Refused, match="unknown codec") as error:
        probe(source, LIMITS)
    assert error.value.status == 422


@pytest.mark.slow
@pytest.mark.parametrize("sound", ["aac", "mp2", None])
@pytest.mark.parametrize("options", [FAST, Options(codec="vp8")], ids=["mp4", "webm"])
def test_joined_recordings_go_on_where_the_first_ends(sound, options, rectangles, batcher, tmp_path):
    parts = [clips.make(tmp_path / f"{name}.ts", 24, audio=sound) for name in "ab"]
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    manifest, _, video = run(source, tmp_path, rectangles, batcher, options)
    np.testing.assert_allclose(np.diff(video["times"]), 1 / 25, atol=0.0011)
    assert len(video["times"]) == 48
    assert video["duration"] == pytest.approx(1.92, abs=0.08)
    assert video["sound"] == pytest.approx(1.92 if sound else 0.0, abs=0.12)
    assert "the jump was removed" in manifest["notes"][0]


def test_a_gap_of_36_hours_is_removed_and_said(rectangles, batcher, tmp_path):
    times = [i / 25 for i in range(10)] + [36 * 3600 + i / 25 for i in range(10)]
    source = clips.make(tmp_path / "clip.mkv", 20, times=times)
    assert probe(source, LIMITS).seconds == pytest.approx(0.8, abs=0.1)
    manifest, _, video = run(source, tmp_path, rectangles, batcher)
    assert video["times"][-1] == pytest.approx(0.76, abs=0.01)
    assert "jumps by +129599.6 s" in manifest["notes"][0]


def test_a_shorter_gap_is_kept(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mkv", 4, times=[0.0, 0.04, 300.0, 300.04])
    manifest, _, video = run(source, tmp_path, rectangles, batcher)
    np.testing.assert_allclose(video["times"], [0.0, 0.04, 300.0, 300.04], atol=0.002)
    assert manifest["notes"] == []


def test_sound_without_a_sample_is_left_out_and_said(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mkv", 5, audio="libopus", silent=True)
    assert probe(source, LIMITS).audio == "opus"
    manifest, _, video = run(source, tmp_path, rectangles, batcher)
    assert video["sound"] == 0.0
    assert "without sound" in manifest["notes"][0]


def test_sound_that_cannot_be_decoded_is_left_out_and_said(rectangles, batcher, tmp_path):
    source = clips.damaged_sound(clips.make(tmp_path / "clip.mkv", 25, audio="flac"), tmp_path / "bad.mkv")
    manifest, _, video = run(source, tmp_path, rectangles, batcher)
    assert video["sound"] == 0.0
    assert "the sound" in manifest["notes"][0]
    assert len(video["times"]) == 25


def test_a_preview_begins_with_the_first_picture(rectangles, batcher, tmp_path):
    from PIL import Image

    source = clips.make(tmp_path / "clip.mkv", 20, times=[5 + i / 25 for i in range(20)], audio="aac")
    run(source, tmp_path, rectangles, batcher, Options(codec="h264", preview="gif"))
    with Image.open(tmp_path / "result" / "preview.gif") as image:
        assert image.n_frames > 4


def test_a_file_that_ends_too_early_is_said_to(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mkv", 200)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    manifest, _, _ = run(source, tmp_path, rectangles, batcher)
    assert manifest["notes"][-1].endswith("of the 8.0 s that it declares")


@pytest.mark.parametrize("matrix", [5, 1], ids=["BT.601", "BT.709"])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("codec", ["vp8", "vp9", "av1", "h264"])
def test_colours_are_kept_and_tagged(matrix, full, codec, rectangles, batcher, tmp_path):
    source = clips.coloured(tmp_path / "clip.mp4", matrix, full)
    _, _, _ = run(source, tmp_path, rectangles, batcher, Options(codec=codec))
    with av.open(str(next((tmp_path / "result").glob("video.*")))) as file:
        frame = next(file.decode(video=0))
        assert int(frame.colorspace) in (5, 6)  # BT.601, which has two names
        assert int(frame.color_range) == 1
        np.testing.assert_allclose(frame.to_ndarray(format="rgb24")[60, 60], clips.COLOUR, atol=6)


@pytest.mark.parametrize(("size", "matrix"), [((64, 96), 5), ((720, 1280), 1)])
def test_untagged_colours_are_read_as_players_do(size, matrix, tmp_path):
    source = clips.coloured(tmp_path / "clip.mp4", matrix, full=False, size=size, tagged=False)
    frame = next(iter(Decoder(source, LIMITS)))
    np.testing.assert_allclose(frame.image[60, 60], clips.COLOUR, atol=4)


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.58), (18, 0.75)], ids=["PQ", "HLG"])
def test_high_dynamic_range_is_mapped_and_said(transfer, white, tmp_path):
    source = clips.high_range(tmp_path / "clip.mp4", transfer, white)
    decoder = Decoder(source, LIMITS)
    frame = next(iter(decoder))
    assert 235 < frame.image[30, 30].mean() < 255, "white paper is white, and there is room above"
    assert "high dynamic range" in decoder.notes[0]


def test_transparent_parts_are_black(tmp_path):
    from PIL import Image

    clear = [Image.new("RGBA", (64, 48), (200, 30, 30, 0)) for _ in range(3)]
    for number, image in enumerate(clear):
        image.paste((0, 200, 0, 255), (10, 10, 20 + number, 20))
    clear[0].save(tmp_path / "clip.png", save_all=True, append_images=clear[1:], duration=40)
    decoder = Decoder(tmp_path / "clip.png", LIMITS)
    image = next(iter(decoder)).image
    assert image[0, 0].tolist() == [0, 0, 0]
    assert image[15, 15].tolist() == [0, 200, 0]
    assert decoder.notes == ["transparent parts are shown on black"]


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.mov", "prores_ks", "yuva444p10le"), ("a.mov", "png", "ya16be"), ("a.mkv", "ffv1", "gbrap10le"),
     ("a.mkv", "ffv1", "yuva444p12le")],
)  # fmt: skip
@pytest.mark.parametrize("alpha", [0, 255], ids=["clear", "opaque"])
def test_every_kind_of_alpha_is_seen(name, codec, pixels, alpha, tmp_path):
    decoder = Decoder(with_alpha(tmp_path / name, codec, pixels, alpha), LIMITS)
    image = next(iter(decoder)).image
    assert (image.max() <= 1) == (alpha == 0)
    assert decoder.notes == ([] if alpha else ["transparent parts are shown on black"])


def test_the_transparency_of_webm_is_said_not_to_be_read(tmp_path):
    source = with_alpha(tmp_path / "a.webm", "libvpx-vp9", "yuva420p", 0)
    assert probe(source, LIMITS).notes == (
        "the transparency is not read: transparent parts are shown as they are stored",
    )


def with_alpha(path, codec, pixels, alpha):
    """A red video of 3 frames, all of whose pixels have this alpha."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, pixels
        for index in range(3):
            image = np.full((64, 96, 4), (200, 30, 30, alpha), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgba")
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize("later", [(96, 128), (48, 64)], ids=["grows", "shrinks"])
def test_a_turned_video_whose_size_changes_keeps_its_first_size(later, tmp_path, monkeypatch):
    from serve.video import decoding

    source = clips.turned(clips.make(tmp_path / "lying.mp4", 4), tmp_path / "clip.mp4", 90)
    real = decoding.Pictures.picture
    count = iter(range(4))

    def changing(self, frame):
        image = real(self, frame)
        return image if next(count) < 2 else picture(later[1], later[0], {})

    monkeypatch.setattr(decoding.Pictures, "picture", changing)
    decoder = Decoder(source, LIMITS)
    assert {frame.image.shape for frame in decoder} == {(96, 64, 3)}
    assert "the size of the pictures changes" in decoder.notes[0]


def test_a_video_whose_size_changes_keeps_its_first_size_when_it_is_resumed(
    rectangles, batcher, tmp_path, monkeypatch
):
    from serve.video import decoding

    class Killed(BaseException):
        """Raised in place of killing the process."""

    source = clips.make(tmp_path / "clip.mp4", 8)
    real = decoding.Pictures.picture
    seen = []

    def changing(self, frame):
        seen.append(frame)
        image = real(self, frame)
        return image if len(seen) <= 2 else picture(96, 128, {})

    def kill(progress):
        if progress.frames == 3:
            raise Killed

    monkeypatch.setattr(decoding.Pictures, "picture", changing)
    assert {frame.image.shape for frame in Decoder(source, LIMITS, first=2, size=(64, 96))} == {(64, 96, 3)}
    seen.clear()
    work = tmp_path / "work"
    work.mkdir()
    facts = probe(source, LIMITS)
    with pytest.raises(Killed):
        annotate(source, facts, work, rectangles, batcher, FAST, LIMITS, kill, {}, 1, 2)
    manifest = annotate(
        source, facts, work, rectangles, batcher, FAST, LIMITS, lambda progress: None, {}, 1, 2
    )
    segments = SegmentFolder(work / WORK, FAST.suffix).finished()
    assert [(segment.height, segment.width) for segment in segments] == [(64, 96)] * 4
    assert clips.facts_of(work / "result" / manifest["files"]["video"])["size"] == (64, 96)
    assert any("the size of the pictures changes" in note for note in manifest["notes"])
