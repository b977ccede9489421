"""Validation batches are kept where they fit into memory, and are the same either way."""

from __future__ import annotations

from trainers.object_detection_api.input_pipeline.kept_batches import PIXEL_BYTES, KeptBatches


class Made:
    """Makes two batches, and counts how often."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return iter(["first", "second"])


def test_batches_that_fit_are_made_once():
    kept, make = KeptBatches(limit=10 * PIXEL_BYTES), Made()
    for _ in range(3):
        assert list(kept.of("small", 10, 1, make)) == ["first", "second"]
    assert make.times == 1


def test_batches_that_do_not_fit_are_made_each_time_and_push_nothing_out():
    kept, make = KeptBatches(limit=10 * PIXEL_BYTES), Made()
    kept.of("small", 10, 1, Made())
    for _ in range(3):
        assert list(kept.of("large", 11, 1, make)) == ["first", "second"]
    assert make.times == 3
    assert kept.bytes == 10 * PIXEL_BYTES


def test_those_asked_for_longest_ago_make_room():
    kept = KeptBatches(limit=10 * PIXEL_BYTES)
    old, used = Made(), Made()
    kept.of("old", 4, 1, old)
    kept.of("used", 4, 1, used)
    kept.of("old", 4, 1, old)
    kept.of("used", 4, 1, used)
    kept.of("new", 6, 1, Made())
    assert kept.bytes == 10 * PIXEL_BYTES
    kept.of("used", 4, 1, used)
    kept.of("old", 4, 1, old)
    assert (old.times, used.times) == (2, 1)
