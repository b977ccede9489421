"""What a refusal looks like, and that it leaves nothing behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import requests
from servers import Server

KEYS = {"type", "title", "status", "detail"}


def is_problem(answer: requests.Response, status: int, says: str = "") -> None:
    """A problem in one line, that `says` so, without a word of the code."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == KEYS
    assert body["status"] == status
    assert says in body["detail"]
    assert "Traceback" not in answer.text
    assert "\n" not in body["detail"]


@contextlib.contextmanager
def nothing_left(server: Server) -> Iterator[None]:
    """No file of an upload, no folder of a job, but those that were there before."""
    jobs = set(server.settings.jobs_folder.iterdir())
    yield
    assert not list((server.settings.data / "incoming").glob("*"))
    assert set(server.settings.jobs_folder.iterdir()) == jobs
