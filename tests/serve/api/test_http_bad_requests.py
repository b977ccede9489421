"""Invalid requests, invalid images and unknown tokens: each is answered with a problem, and leaves no files."""

from __future__ import annotations

import gzip
import io
import json
import socket
import time
import zlib
from urllib.parse import urlsplit

import clips
import pytest
from PIL import Image
from problems import KEYS, is_problem, nothing_left
from servers import Server, wait_for

FORM = "multipart/form-data; boundary=b"


@pytest.fixture(autouse=True)
def no_files_are_left(server):
    with nothing_left(server):
        yield


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
        '{"codec": "vp8", "container": "mp4"}',
        '{"classes": []}',
        '{"every": 1e99}',
        "\x00",
    ],
)
def test_invalid_options_are_refused(server, tmp_path, options):
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
def test_a_malformed_body_is_refused(server, body, kind, status):
    is_problem(server.call("POST", "/v1/jobs", data=body, headers={"Content-Type": kind}), status)


def test_a_compressed_body_is_refused_before_it_is_unpacked(server):
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Encoding": "gzip"}
    is_problem(server.call("POST", "/v1/jobs", data=gzip.compress(bytes(1_000_000)), headers=headers), 415)


def test_a_client_that_disconnects_leaves_no_files(server):
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


def test_a_client_that_leaves_during_a_json_body_is_no_error_of_the_server(server):
    where = urlsplit(server.url)

    def statuses():
        lines = server.call("GET", "/metrics").text.splitlines()
        return [
            line
            for line in lines
            if 'method="POST",route="/v1/model:promote"' in line and "_requests_" in line
        ]

    before = statuses()
    with socket.create_connection((where.hostname, where.port)) as connection:
        connection.sendall(
            b"POST /v1/model:promote HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token-for-tests\r\n"
            b"Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{"
        )
        time.sleep(0.5)  # in which the request begins
    after = wait_for(lambda: (now := statuses()) != before and now)
    assert any('status="400"' in line for line in {*after} - {*before})
    assert not any('status="500"' in line for line in after)


def bomb(side: int) -> bytes:
    """A decompression bomb: a PNG that declares side x side pixels in a few kilobytes."""

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
        (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', 422),
    ],
)
def test_an_invalid_or_too_large_image_is_refused(server, body, status):
    is_problem(
        server.call("POST", "/v1/images:detect", data=body, headers={"Content-Type": "image/png"}), status
    )


def test_too_many_images_are_refused(server):
    files = [("file", (f"{i}.jpg", jpeg())) for i in range(5)]
    is_problem(server.call("POST", "/v1/images:detect", files=files), 422, "at most 4 files")


@pytest.mark.parametrize("query", ["threshold=2", "threshold=nan", "threshold=x", "classes="])
def test_an_invalid_query_is_refused(server, query):
    answer = server.call(
        "POST", f"/v1/images:detect?{query}", data=jpeg(), headers={"Content-Type": "image/jpeg"}
    )
    is_problem(answer, 422)


@pytest.mark.parametrize("token", ["", "wrong", "Tokén", "a" * 10_000])
def test_every_route_refuses_an_unknown_token(server, token):
    stranger = Server(server.url, server.settings)
    stranger.session.headers["Authorization"] = f"Bearer {token}".encode()
    for method, path in (
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/model"),
        ("POST", "/v1/images:detect"),
    ):
        is_problem(stranger.call(method, path), 401)


def test_without_a_token_the_answer_does_not_depend_on_whether_a_job_exists(server):
    stranger = Server(server.url, server.settings)
    del stranger.session.headers["Authorization"]
    is_problem(stranger.call("GET", "/v1/jobs/nothing"), 401)


def test_an_unknown_path_is_answered_with_a_problem(server):
    is_problem(server.call("GET", "/v2/jobs"), 404)
    is_problem(server.call("PUT", "/v1/jobs"), 405)


def test_tokens_are_not_stored_in_plain_text(server):
    path = server.settings.data / "tokens.json"
    assert "token-for-tests" not in path.read_text()
    assert oct(path.stat().st_mode)[-3:] == "600"
    assert len(json.loads(path.read_text())["tokens"]) == 2


@pytest.mark.parametrize("key", ["", "k" * 300])
def test_an_invalid_idempotency_key_is_refused(server, tmp_path, key):
    is_problem(server.submit(clips.make(tmp_path / "clip.mp4", 2), headers={"Idempotency-Key": key}), 422)
