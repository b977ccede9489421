"""Property: for any content and any chunking of a multipart body, the same file arrives, or it is refused."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from serve.api.uploads import FIELD_BYTES, read_form
from serve.client import Client
from serve.errors import Refused
from serve.jobs.options import Options

NEARLY = [b"\r\n", b"--", b"\r\n--B", b"\r\n--BB", b"--BOUND--"]  # the boundary
CUTS = st.lists(st.integers(0, 10**6), max_size=5)


def read(body: bytes, cuts: list[int], boundary: str, limit: int = 10_000):
    """The form parsed from a body in chunks, with its files' contents; or the status of the refusal."""
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    pieces = [body[a:b] for a, b in itertools.pairwise(edges)]
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive():
        return messages.pop(0)

    headers = [(b"content-type", f"multipart/form-data; boundary={boundary}".encode())]
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)
    with tempfile.TemporaryDirectory() as name:
        try:
            form = asyncio.run(read_form(request, Path(name), limit, 3, lambda size: None))
        except Refused as error:
            return error.status
        return form.fields, [(name, path.read_bytes(), size) for name, path, size in form.files], form.digest


def body_of(content: bytes, field: str, boundary: str) -> bytes:
    return (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="options"\r\n\r\n{field}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="v"\r\n\r\n'
        ).encode()
        + content
        + f"\r\n--{boundary}--\r\n".encode()
    )


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    content=st.binary(max_size=5000) | st.sampled_from(NEARLY).map(lambda piece: piece * 50),
    field=st.text('abc{}": 1', max_size=50),
    cuts=st.lists(st.integers(0, 10**6), max_size=30),
)
def test_a_file_arrives_unchanged_for_any_chunking(content, field, cuts):
    body = body_of(content, field, "BOUNDARY")
    fields, files, digest = read(body, cuts, "BOUNDARY")
    assert fields == {"options": field}
    assert files == [("v", content, len(content))]
    assert digest == read(body, [], "BOUNDARY")[2]


@settings(max_examples=100, deadline=None)
@given(
    content=st.binary(min_size=1, max_size=300),
    at=st.integers(0, 10**6),
    cuts=CUTS,
)
def test_a_truncated_body_is_refused(content, at, cuts):
    body = body_of(content, "{}", "BOUNDARY").removesuffix(b"--\r\n")
    assert read(body[: at % len(body)], cuts, "BOUNDARY") == 400


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=2000), cuts=CUTS)
def test_noise_is_refused(body, cuts):
    assert read(body, cuts, "BOUNDARY") in (400, 413, 422)


@pytest.mark.parametrize("piece", [64 * 1024, 700_000, 2**20, 10**7])
def test_a_file_larger_than_the_buffer_arrives_for_any_chunk_size(piece):
    content = bytes(range(256)) * 20_000
    body = body_of(content, "{}", "BOUNDARY")
    cuts = list(range(piece, len(body), piece))
    _, [(_, arrived, size)], _ = read(body, cuts, "BOUNDARY", limit=10**7)
    assert (arrived, size) == (content, len(content))


def test_fields_beyond_their_limit_are_refused():
    assert read(body_of(b"video", "a" * (FIELD_BYTES - 10), "BOUNDARY"), [], "BOUNDARY")[1]
    assert read(body_of(b"video", "a" * (FIELD_BYTES + 10), "BOUNDARY"), [], "BOUNDARY") == 413


@settings(max_examples=30, deadline=None)
@given(size=st.integers(900, 1100), cuts=CUTS)
def test_the_limit_is_exact(size, cuts):
    answer = read(body_of(bytes(size), "{}", "BOUNDARY"), cuts, "BOUNDARY", limit=1000)
    assert answer == 413 if size > 1000 else answer[1][0][2] == size


@pytest.mark.parametrize("name", ["Straße 日本.mp4", 'a "quoted" \\ name.mp4', "not UTF-8 \udcff.mp4"])
def test_the_name_of_a_video_arrives_as_the_client_has_it(name, tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(Client, "_call", lambda *args, **request: None)
    monkeypatch.setattr(Client, "_json", lambda *args, **request: sent.append(request) or {})
    (tmp_path / name).write_bytes(b"video")
    Client("http://127.0.0.1", "token").submit(tmp_path / name, Options())
    boundary = sent[0]["headers"]["Content-Type"].partition("boundary=")[2]
    body = b"".join(sent[0]["data"])
    assert len(body) == len(sent[0]["data"])
    _, files, _ = read(body, [], boundary)
    assert files == [(name.replace("\udcff", "?"), b"video", 5)]
