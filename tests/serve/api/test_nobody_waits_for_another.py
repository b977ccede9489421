"""The server answers while its database is locked, and while sources of videos do not answer."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time

import pytest
import requests

from serve.api.app import FLUSH_SECONDS
from serve.deployment.database import FILE
from serve.storage import s3

pytestmark = pytest.mark.slow


def test_requests_are_answered_while_the_database_is_locked(server):
    lock = sqlite3.connect(server.settings.data / FILE, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        for _ in range(3):  # among them one that would write the counters
            time.sleep(FLUSH_SECONDS / 2)
            assert server.call("GET", "/healthz").status_code == 200
            assert server.call("GET", "/v1/jobs").status_code == 200
    finally:
        lock.execute("ROLLBACK")
        lock.close()


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
