"""The server answers while its database is locked, and while sources of videos do not answer."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from problems import is_problem
from servers import prepare, served

from serve.api.app import FLUSH_SECONDS
from serve.deployment import database
from serve.deployment.database import FILE
from serve.deployment.settings import Settings
from serve.storage import s3, tokens
from serve.storage.secrets import SecretFile

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def locked(settings: Settings, how: str) -> Iterator[None]:
    """how: IMMEDIATE keeps out writers, EXCLUSIVE without a write-ahead log also readers."""
    lock = sqlite3.connect(settings.data / FILE, isolation_level=None)
    lock.execute(f"BEGIN {how}")
    try:
        yield
    finally:
        lock.execute("ROLLBACK")
        lock.close()


def test_requests_are_answered_while_the_database_is_locked(server):
    with locked(server.settings, "IMMEDIATE"):
        for _ in range(3):  # among them one that would write the counters
            time.sleep(FLUSH_SECONDS / 2)
            assert server.call("GET", "/healthz").status_code == 200
            assert server.call("GET", "/v1/jobs").status_code == 200


def test_health_is_answered_while_all_other_requests_wait_for_the_database(
    rectangles_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(database, "on_network", lambda folder: True)  # where readers wait for writers
    settings = Settings(data=tmp_path / "data", model_roots=(rectangles_folder.parent,))
    prepare(settings, rectangles_folder)
    requests_ = [
        ("GET", "/readyz", {}),
        ("GET", "/v1/jobs", {}),
        ("GET", "/v1/model", {}),
        ("POST", "/v1/jobs", {"files": {"file": b"no video"}}),
        ("POST", "/v1/images:detect", {"data": b"no image", "headers": {"Content-Type": "image/png"}}),
        ("POST", "/v1/batches", {"json": {"uris": ["s3://videos/in/clip.mp4"]}}),
        ("POST", "/v1/model:promote", {"json": {"model": str(rectangles_folder)}}),
        ("POST", "/v1/model:rollback", {}),
    ]
    with served(settings, replica=False) as server, ThreadPoolExecutor(len(requests_)) as pool:
        with locked(settings, "EXCLUSIVE"):
            waiting = [pool.submit(server.call, method, path, **more) for method, path, more in requests_]
            for _ in range(3):
                time.sleep(FLUSH_SECONDS / 2)
                assert server.call("GET", "/healthz").status_code == 200
            assert not any(each.done() for each in waiting)
        assert {path: each.result().status_code for (_, path, _), each in zip(requests_, waiting, strict=True)} == {
            "/readyz": 503, "/v1/jobs": 422, "/v1/model": 200, "/v1/images:detect": 500, "/v1/batches": 422,
            "/v1/model:promote": 409, "/v1/model:rollback": 409,
        }  # fmt: skip


def test_a_disk_that_does_not_give_the_tokens_keeps_up_only_those_who_need_them(server, monkeypatch):
    answers = threading.Event()
    real = SecretFile.read

    def slow(self):
        assert answers.wait(60)
        return real(self)

    monkeypatch.setattr(SecretFile, "read", slow)
    monkeypatch.setattr(tokens, "READ_SECONDS", 1.0)
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(server.call, "GET", "/v1/jobs") for _ in range(8)]
        for _ in range(3):
            assert server.call("GET", "/healthz").status_code == 200
            assert requests.get(server.url + "/readyz", timeout=60).json() == {"ready": True}
        for each in waiting:
            is_problem(each.result(), 503, "tokens cannot be read now")
            assert each.result().headers["Retry-After"] == "10"
    answers.set()
    assert server.call("GET", "/v1/jobs").status_code == 200


@pytest.mark.slow(12)
def test_sources_that_do_not_answer_block_no_other_request(server, monkeypatch):
    silent = socket.create_server(("127.0.0.1", 0), backlog=100)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
    monkeypatch.setattr(s3, "SECONDS", 2.0)
    statuses: list[int] = []
    uri = {"uri": "s3://videos/in/clip.mp4"}

    def submit() -> None:
        answer = requests.post(
            server.url + "/v1/jobs", json=uri, headers=dict(server.session.headers), timeout=60
        )
        statuses.append(answer.status_code)

    waiting = [threading.Thread(target=submit) for _ in range(12)]
    for thread in waiting:
        thread.start()
    silent.settimeout(30)
    asked = silent.accept()[0]  # and not answered
    assert server.call("GET", "/healthz").status_code == 200
    assert server.call("GET", "/v1/jobs").status_code == 200
    assert not statuses, "answered while the others wait"
    for thread in waiting:
        thread.join()
    assert set(statuses) == {503}
    asked.close()
    silent.close()


def test_a_stranger_learns_only_whether_the_server_is_ready(server):
    stranger = requests.get(server.url + "/readyz", timeout=60)
    assert stranger.json() == {"ready": True}
    assert server.call("GET", "/readyz").json()["model"]
