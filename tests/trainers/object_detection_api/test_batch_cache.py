"""Validation batches are kept where they fit into memory, and are the same either way."""

from __future__ import annotations

from trainers.object_detection_api.input_pipeline.batch_cache import PIXEL_BYTES, BatchCache


class Made:
    """Makes two batches, and counts how often."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return iter(["first", "second"])


def test_batches_that_fit_are_made_once():
    kept, make = BatchCache(limit=10 * PIXEL_BYTES), Made()
    for _ in range(3):
        assert list(kept.get("small", 10, 1, make)) == ["first", "second"]
    assert make.times == 1


def test_batches_that_do_not_fit_are_made_each_time_and_push_nothing_out():
    kept, make = BatchCache(limit=10 * PIXEL_BYTES), Made()
    kept.get("small", 10, 1, Made())
    for _ in range(3):
        assert list(kept.get("large", 11, 1, make)) == ["first", "second"]
    assert make.times == 3
    assert kept.bytes == 10 * PIXEL_BYTES


def test_those_asked_for_longest_ago_make_room():
    kept = BatchCache(limit=10 * PIXEL_BYTES)
    old, used = Made(), Made()
    kept.get("old", 4, 1, old)
    kept.get("used", 4, 1, used)
    kept.get("old", 4, 1, old)
    kept.get("used", 4, 1, used)
    kept.get("new", 6, 1, Made())
    assert kept.bytes == 10 * PIXEL_BYTES
    kept.get("used", 4, 1, used)
    kept.get("old", 4, 1, old)
    assert (old.times, used.times) == (2, 1)
