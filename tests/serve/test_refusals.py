"""Refused: an error that crosses processes."""

from __future__ import annotations

import pickle

from serve.errors import Refused


def test_a_refusal_keeps_its_fields_when_pickled():
    there = pickle.loads(pickle.dumps(Refused(429, "full", retry_after=30)))
    assert (there.status, there.detail, there.retry_after, str(there)) == (429, "full", 30, "full")
