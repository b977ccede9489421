"""What a client may get wrong, or try: each is answered as a problem in one line, and leaves nothing behind."""

from __future__ import annotations

import gzip
import io
import json
import os
import zlib

import av
import clips
import numpy as np
import pytest
from PIL import Image
from servers import Server

FORM = "multipart/form-data; boundary=b"
KEYS = {"type", "title", "status", "detail"}


def is_problem(answer, status: int, says: str = "") -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == KEYS
    assert body["status"] == status
    assert says in body["detail"]
    assert "Traceback" not in answer.text
    assert "\n" not in body["detail"]


@pytest.fixture(autouse=True)
def nothing_is_left(server):
    jobs = set(server.settings.jobs_folder.iterdir())
    yield
    assert not list((server.settings.data / "incoming").iterdir())
    assert set(server.settings.jobs_folder.iterdir()) == jobs


@pytest.fixture
def make(tmp_path):
    def made(name: str, content: bytes):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return made


def playlist(secret):
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()


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


def test_a_video_of_the_wrong_name_is_taken_for_what_it_is(server, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 3)
    wrong = clip.rename(tmp_path / "clip.txt")
    job = server.submit(wrong, '{"annotate": false}').json()
    assert server.ended(job["id"])["state"] == "done"
    server.call("DELETE", f"/v1/jobs/{job['id']}")


def test_only_sound_is_refused_by_that_word(server, tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=48_000)
        part = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        part.sample_rate = 48_000
        file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    is_problem(server.submit(path), 422, "only sound")


def test_a_video_cut_off_in_its_header_is_refused(server, tmp_path):
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
        server.submit(clips.make(tmp_path / "wide.mp4", 1, size=(64, 8192))), 413, "8192x64 are too large"
    )


def test_a_video_that_is_too_long_is_refused(server, tmp_path):
    path = clips.make(tmp_path / "long.mkv", 3, times=[0.0, 1.0, 4000.0])
    is_problem(server.submit(path), 413, "at most 60 s are taken")


def test_a_body_beyond_the_limit_is_refused_by_its_length_and_without_one(server, make):
    large = make("large.mp4", bytes(5_000_000))
    is_problem(server.submit(large), 413)

    def pieces():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for _ in range(50):
            yield bytes(100_000)
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    is_problem(server.call("POST", "/v1/jobs", data=pieces(), headers=headers), 413)


@pytest.mark.parametrize(
    "name", ["../../../../tmp/evil.mp4", "/etc/passwd", "a\\..\\b.mp4", "x" * 5000, "\u202egnp.exe", "a\0b"]
)
def test_a_name_is_shown_and_never_used(server, tmp_path, name):
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
    "job_id",
    [
        "nothing",
        "..",
        "%2e%2e%2f%2e%2e",
        "..%2f..%2fserve.sqlite",
        "a" * 5000,
        "%00",
        "'; DROP TABLE jobs;--",
    ],
)
def test_an_unknown_job_is_not_found(server, job_id):
    for path in ("", "/video", "/source", "/events", "/manifest"):
        answer = server.call("GET", f"/v1/jobs/{job_id}{path}")
        assert answer.status_code in (404, 405), answer.text
        assert set(answer.json()) == KEYS
    is_problem(server.call("DELETE", "/v1/jobs/nothing"), 404)


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
        "s3://videos/in/%2e%2e/x",
    ],
)
def test_an_address_outside_what_the_server_allows_is_refused(server, uri):
    allowed = server.settings.file_roots[0]
    link = allowed / "link"
    if not link.is_symlink():
        link.symlink_to("/etc/passwd")
    is_problem(server.call("POST", "/v1/jobs", json={"uri": uri.replace("ALLOWED", str(allowed))}), 422)


@pytest.mark.parametrize(
    "options",
    [
        "{",
        "[]",
        "null",
        '{"threshold": 2}',
        '{"threshold": "NaN"}',
        '{"every": 0}',
        '{"codec": "mjpeg"}',
        '{"unknown": 1}',
        '{"codec": "h264", "container": "webm"}',
        '{"classes": []}',
        '{"every": 1e99}',
        "\x00",
    ],
)
def test_options_that_mean_nothing_are_refused(server, tmp_path, options):
    is_problem(server.submit(clips.make(tmp_path / "clip.mp4", 2), options), 422, "options")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", FORM, 400),
        (b"--b\r\n", FORM, 400),
        (b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nabc', FORM, 400),
        (b"--b--\r\n", FORM, 422),
        (b"x", "multipart/form-data", 415),
        (b"x", "multipart/form-data; boundary=" + "b" * 300, 415),
        (b"x", "text/plain", 415),
        (b"x", "", 415),
        (b"{", "application/json", 422),
        (b"{}", "application/json", 422),
        (b'{"uri": 5}', "application/json", 422),
        (b" " * 2_000_000, "application/json", 413),
        (
            b'--b\r\nContent-Disposition: form-data; name="other"; filename="x"\r\n\r\nabc\r\n--b--\r\n',
            FORM,
            422,
        ),
        (b'--b\r\nContent-Disposition: form-data; name="options"\r\n\r\n{}\r\n--b--\r\n', FORM, 422),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\n{}\r\n--b--\r\n", FORM, 422),
        (b'--b\r\nContent-Disposition: form-data; filename="x"\r\n\r\nabc\r\n--b--\r\n', FORM, 422),
        (b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n\r\n--b--\r\n', FORM, 422),
        (
            b'--b\r\nContent-Disposition: form-data; name="options"\r\n\r\n'
            + b" " * 3_000_000
            + b"\r\n--b--\r\n",
            FORM,
            413,
        ),
    ],
)
def test_a_body_that_is_not_what_it_should_be_is_refused(server, body, kind, status):
    is_problem(server.call("POST", "/v1/jobs", data=body, headers={"Content-Type": kind}), status)


def test_a_compressed_body_is_refused_before_it_is_unpacked(server):
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Encoding": "gzip"}
    is_problem(server.call("POST", "/v1/jobs", data=gzip.compress(bytes(1_000_000)), headers=headers), 415)


def test_a_client_that_goes_away_leaves_nothing(server):
    import socket
    from urllib.parse import urlsplit

    from servers import wait_for

    where = urlsplit(server.url)
    with socket.create_connection((where.hostname, where.port)) as connection:
        connection.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token-for-tests\r\nContent-Length: 900000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + bytes(10_000)
        )
        incoming = server.settings.data / "incoming"
        wait_for(lambda: list(incoming.iterdir()))
    wait_for(lambda: not list(incoming.iterdir()))


def bomb(side: int) -> bytes:
    """A PNG of side x side zeros in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


def jpeg(height=64, width=64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"noise" * 100, 422),
        (bomb(60_000), 413),
        (bomb(5_000), 413),
        (jpeg(2, 2), 422),
        (jpeg()[:300], 422),
        (bytes(2_000_000), 413),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n", 422),
        (NOT_VIDEOS["an svg"], 422),
    ],
)
def test_what_is_not_an_image_or_too_large_a_one_is_refused(server, body, status):
    is_problem(
        server.call("POST", "/v1/images:detect", data=body, headers={"Content-Type": "image/png"}), status
    )


def test_more_images_than_are_taken_are_refused(server):
    files = [("file", (f"{i}.jpg", jpeg())) for i in range(5)]
    is_problem(server.call("POST", "/v1/images:detect", files=files), 422, "at most 4 files")


@pytest.mark.parametrize("query", ["threshold=2", "threshold=nan", "threshold=x", "classes="])
def test_a_query_that_means_nothing_is_refused(server, query):
    answer = server.call(
        "POST", f"/v1/images:detect?{query}", data=jpeg(), headers={"Content-Type": "image/jpeg"}
    )
    is_problem(answer, 422)


@pytest.mark.parametrize("token", ["", "wrong", "Tokén", "a" * 10_000])
def test_without_a_known_token_nothing_is_told(server, token):
    stranger = Server(server.url, server.settings)
    stranger.session.headers["Authorization"] = f"Bearer {token}".encode()
    for method, path in (
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/model"),
        ("POST", "/v1/images:detect"),
    ):
        is_problem(stranger.call(method, path), 401)


def test_no_answer_tells_whether_a_job_is_there_without_a_token(server):
    stranger = Server(server.url, server.settings)
    del stranger.session.headers["Authorization"]
    is_problem(stranger.call("GET", "/v1/jobs/nothing"), 401)


def test_a_path_that_is_not_there_is_a_problem_too(server):
    is_problem(server.call("GET", "/v2/jobs"), 404)
    is_problem(server.call("PUT", "/v1/jobs"), 405)


def test_tokens_are_not_kept_in_the_clear(server):
    path = server.settings.data / "tokens.json"
    assert "token-for-tests" not in path.read_text()
    assert oct(path.stat().st_mode)[-3:] == "600"
    assert len(json.loads(path.read_text())["tokens"]) == 2


@pytest.mark.parametrize("key", ["", "k" * 300])
def test_an_idempotency_key_that_is_none_is_refused(server, tmp_path, key):
    is_problem(server.submit(clips.make(tmp_path / "clip.mp4", 2), headers={"Idempotency-Key": key}), 422)
