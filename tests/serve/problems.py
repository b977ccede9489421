"""Assertions about refusals: their format, and that they leave no files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import requests
from servers import Server

KEYS = {"type", "title", "status", "detail"}


def is_problem(answer: requests.Response, status: int, says: str = "") -> None:
    """Assert that the answer is a problem with this status, one line that contains `says`, without a traceback."""
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
    """Assert that no new file of an upload and no new folder of a job is left at the end."""
    jobs = set(server.settings.jobs_folder.iterdir())
    yield
    assert not list((server.settings.data / "incoming").glob("*"))
    new = set(server.settings.jobs_folder.iterdir()) - jobs  # one of another test may be gone by now
    assert not {each: list(each.rglob("*")) for each in new}
