"""Invalid, oversized and malicious videos, names and URIs: each is refused, and leaves no files."""

from __future__ import annotations

import gzip
import os

import av
import clips
import numpy as np
import pytest
from problems import is_problem, nothing_left


@pytest.fixture(autouse=True)
def no_files_are_left(server):
    with nothing_left(server):
        yield


@pytest.fixture
def make(tmp_path):
    def made(name: str, content: bytes):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return made


NOT_VIDEOS = {
    "noise": os.urandom(5000),
    "text": b"just words\n" * 100,
    "zeros": bytes(50_000),
    "a playlist of other files": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
    "a list to concatenate": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "a session description": b"v=0\no=- 0 0 IN IP4 0.0.0.0\ns=\nc=IN IP4 169.254.169.254\nt=0 0\nm=video 5 RTP/AVP 96\n",
    "subtitles": b"1\n00:00:01,000 --> 00:00:02,000\nhello\n",
    "a zip": b"PK\x03\x04" + bytes(1000),
    "a gzip bomb": gzip.compress(bytes(20_000_000)),
    "an html page": b"<html><script>alert(1)</script></html>" * 50,
    "an svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
}


@pytest.mark.parametrize("kind", list(NOT_VIDEOS))
@pytest.mark.parametrize("name", ["video.mp4", "list.m3u8"])
def test_what_is_not_a_video_is_refused(server, make, kind, name):
    is_problem(server.submit(make(name, NOT_VIDEOS[kind])), 422)


def test_a_video_with_the_wrong_suffix_is_processed(server, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 3)
    wrong = clip.rename(tmp_path / "clip.txt")
    job = server.submit(wrong, '{"annotate": false}').json()
    assert server.ended(job["id"])["state"] == "done"
    server.call("DELETE", f"/v1/jobs/{job['id']}")


def test_a_file_with_only_sound_is_refused_and_told_so(server, tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=48_000)
        part = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        part.sample_rate = 48_000
        file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    is_problem(server.submit(path), 422, "only sound")


def test_a_video_truncated_in_its_header_is_refused(server, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 10)
    clip.write_bytes(clip.read_bytes()[:600])
    is_problem(server.submit(clip), 422)


def test_a_video_without_frames_is_refused(server, tmp_path):
    path = tmp_path / "empty.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        file.start_encoding()
    is_problem(server.submit(path), 422)


def test_a_frame_of_a_single_pixel_is_refused(server, tmp_path):
    path = tmp_path / "dot.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1, 1, "yuv444p"
        file.mux(stream.encode(av.VideoFrame(1, 1, "yuv444p")))
        file.mux(stream.encode())
    is_problem(server.submit(path), 422, "too small")


def test_frames_beyond_the_limit_of_pixels_are_refused_before_they_are_decoded(server, tmp_path):
    is_problem(
        server.submit(clips.make(tmp_path / "wide.mp4", 1, size=(64, 8192))), 413, "8192x64 is too large"
    )


def test_a_video_that_is_too_long_is_refused(server, tmp_path):
    path = clips.make(tmp_path / "long.mkv", 3, times=[0.0, 1.0, 4000.0])
    is_problem(server.submit(path), 413, "the limit is 60 s")


def test_a_body_beyond_the_limit_is_refused_with_and_without_a_declared_length(server, make):
    large = make("large.mp4", bytes(5_000_000))
    is_problem(server.submit(large), 413)

    def pieces():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for _ in range(50):
            yield bytes(100_000)
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    is_problem(server.call("POST", "/v1/jobs", data=pieces(), headers=headers), 413)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["../../../../tmp/evil.mp4", "/etc/passwd", "a\\..\\b.mp4", "x" * 5000, "\u202egnp.exe", "a\0b"]
)
def test_a_client_name_is_shown_and_never_used_as_a_path(server, tmp_path, name):
    clip = clips.make(tmp_path / "clip.mp4", 3)
    before = {path for path in tmp_path.parent.rglob("*") if "evil" in path.name}
    with clip.open("rb") as file:
        answer = server.call(
            "POST", "/v1/jobs", files={"file": (name, file)}, data={"options": '{"annotate": false}'}
        )
    assert answer.status_code == 202, answer.text
    job = server.ended(answer.json()["id"])
    assert job["state"] == "done"
    assert {path for path in tmp_path.parent.rglob("*") if "evil" in path.name} == before
    server.call("DELETE", f"/v1/jobs/{job['id']}")


@pytest.mark.parametrize(
    "uri",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://example.org/v.mp4",
        "ftp://127.0.0.1/x",
        "data:video/mp4;base64,AA",
        "file:///etc/passwd",
        "file:///etc/../etc/passwd",
        "file://OTHER/etc/passwd",
        "file:///proc/self/environ",
        "file:///",
        "file://ALLOWED/../data/serve.sqlite",
        "file://ALLOWED/link",
        "file://ALLOWED/%2e%2e/data/tokens.json",
        "file://ALLOWED",
        "file:///a%00b",
        "s3://other/in/a.mp4",
        "s3://videos/inside.mp4",
        "s3://videos/in/../secret.mp4",
        "s3://",
        "/etc/passwd",
        "concat:/etc/passwd",
        "",
        "x" * 5000,
        "file:" + "/" * 3000,
        "http://[::1",
    ],
)
def test_a_uri_that_the_server_does_not_allow_is_refused(server, uri):
    allowed = server.settings.file_roots[0]
    link = allowed / "link"
    if not link.is_symlink():
        link.symlink_to("/etc/passwd")
    is_problem(server.call("POST", "/v1/jobs", json={"uri": uri.replace("ALLOWED", str(allowed))}), 422)
