"""Some images of a part that stand for all of them."""

from __future__ import annotations

from collections import Counter

import pytest

from trainers.datasets.records.representative import evenly_spaced, representative


@pytest.mark.parametrize("wanted", [1, 2, 7, 48, 100, 999, 1000])
def test_one_image_is_of_each_of_as_many_equal_intervals(wanted):
    positions = representative(1000, wanted)
    assert len(positions) == wanted
    for index, position in enumerate(sorted(positions)):
        assert index * 1000 // wanted <= position < (index + 1) * 1000 // wanted
    assert representative(1000, wanted) == positions


def test_images_of_two_alternating_cameras_are_both_there():
    even = sum(position % 2 == 0 for position in representative(960, 48))
    assert 12 <= even <= 36


def test_the_order_is_not_that_of_the_part():
    first, second = representative(1000, 48)[:24], representative(1000, 48)[24:]
    assert abs(sum(first) / 24 - sum(second) / 24) < 200


@pytest.mark.parametrize(("count", "wanted"), [(1, 5), (3, 3), (7, 48)])
def test_a_part_with_too_few_images_repeats_each_about_equally_often(count, wanted):
    times = Counter(representative(count, wanted))
    assert len(times) == count
    assert times.total() == wanted
    assert max(times.values()) - min(times.values()) <= 1


@pytest.mark.parametrize("wanted", [1, 3, 16, 99, 100, 200])
def test_evenly_spaced_positions_have_gaps_that_differ_by_one_at_most(wanted):
    positions = evenly_spaced(100, wanted)
    assert len(positions) == min(wanted, 100)
    gaps = {after - before for before, after in zip([-1, *positions], positions, strict=False)}
    assert max(gaps) - min(gaps) <= 1
