"""A refusal means the same in every process."""

from __future__ import annotations

import pickle

from serve.errors import Refused


def test_it_crosses_processes_whole():
    there = pickle.loads(pickle.dumps(Refused(429, "full", retry_after=30)))
    assert (there.status, there.detail, there.retry_after, str(there)) == (429, "full", 30, "full")
