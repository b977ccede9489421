"""`region_vote`: a connected region of the classes but the first gets one class, the rarest that has its share."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.segmentation.data.arrays import rarest_first
from trainers.segmentation.exported_segmenter import one_class_regions

# background 0, people 1, target 2
TWO_PERSONS = np.array(
    [
        [1, 1, 0, 0, 0, 0],
        [1, 2, 0, 0, 2, 1],
        [1, 1, 0, 0, 2, 1],
        [1, 1, 0, 0, 0, 0],
    ],
    np.uint8,
)
RAREST_FIRST = [2, 1]


def test_a_region_with_enough_of_the_rarer_class_gets_it_and_the_other_loses_its_few_pixels():
    found = one_class_regions(TWO_PERSONS, 0.3, RAREST_FIRST)
    assert (found[:, :2] == 1).all()
    assert (found[1:3, 4:] == 2).all()
    assert found.dtype == np.uint8


def test_the_first_class_keeps_its_pixels():
    found = one_class_regions(TWO_PERSONS, 0.01, RAREST_FIRST)
    assert np.array_equal(found == 0, TWO_PERSONS == 0)
    assert (found[TWO_PERSONS > 0] == 2).all()


def test_corners_connect():
    mask = np.array([[2, 0, 0], [0, 1, 0], [0, 0, 1]], np.uint8)
    assert one_class_regions(mask, 0.3, RAREST_FIRST).max() == 2
    assert (np.diagonal(one_class_regions(mask, 0.5, RAREST_FIRST)) == 1).all()


def test_a_region_in_which_no_class_has_the_share_stays_and_so_does_everything_without_a_vote():
    mask = np.array([[1, 2, 3]], np.uint8)
    assert np.array_equal(one_class_regions(mask, 0.5, [3, 2, 1]), mask)
    assert one_class_regions(TWO_PERSONS, 0.0, RAREST_FIRST) is TWO_PERSONS
    empty = np.zeros((2, 3), np.uint8)
    assert np.array_equal(one_class_regions(empty, 0.2, RAREST_FIRST), empty)


@pytest.mark.parametrize("shape", [(1, 1), (7, 640)])
def test_it_agrees_with_a_plain_flood_fill(shape):
    mask = np.random.default_rng(0).choice(3, shape, p=[0.6, 0.3, 0.1]).astype(np.uint8)
    expected, seen = mask.copy(), mask == 0
    for start in zip(*np.nonzero(~seen), strict=True):
        region, edge = [], [start] if not seen[start] else []
        while edge:
            y, x = edge.pop()
            if 0 <= y < shape[0] and 0 <= x < shape[1] and not seen[y, x]:
                seen[y, x] = True
                region.append((y, x))
                edge += [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        classes = [mask[place] for place in region]
        if region:
            winner = 2 if classes.count(2) >= 0.25 * len(classes) else 1
            for place in region:
                expected[place] = winner
    assert np.array_equal(one_class_regions(mask, 0.25, RAREST_FIRST), expected)


def test_classes_are_ordered_by_their_pixels_without_the_first_and_absent_ones():
    assert rarest_first(np.array([0.01, 0.7, 0.0, 0.29])) == [3, 1]
