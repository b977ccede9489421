"""A labelled image, checked: its boxes end up inside the image or are reported."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_folders import picture

from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.records.image_check import ROUNDING, check_image

EDGE = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-100, 200)


@pytest.mark.slow
@given(st.lists(st.tuples(EDGE, EDGE, EDGE, EDGE), max_size=4), st.booleans())
@settings(max_examples=300, deadline=None)
def test_whatever_the_boxes_are_a_record_has_only_boxes_inside_its_image(edges, fractions):
    boxes = tuple(Box("cat", *each) for each in edges)
    image = LabelledImage("a.jpg", Stored(Path("a.jpg")), boxes, "a.xml", fractions=fractions)
    checked = check_image(image, picture(1), {"cat": 1})
    kept = checked.image
    assert kept is not None
    assert (kept.boxes >= 0).all()
    assert (kept.boxes <= 1).all()
    assert (kept.boxes[:, 2:] >= kept.boxes[:, :2]).all()
    assert len(kept.labels) == len(kept.boxes)
    lost = len(boxes) - len(kept.boxes)
    assert len(checked.problems) >= lost
    assert all(problem.image == "a.jpg" for problem in checked.problems)


@given(st.floats(0, 20), st.floats(0, 20), st.floats(1, 28), st.floats(1, 28))
@settings(max_examples=100, deadline=None)
def test_a_box_inside_its_image_is_kept_as_it_is(top, left, height, width):
    boxes = (Box("cat", top, left, top + height, left + width),)
    checked = check_image(
        LabelledImage("a.jpg", Stored(Path("a.jpg")), boxes, "a.xml"), picture(1), {"cat": 1}
    )
    assert checked.problems == ()
    assert checked.image.pixel_boxes()[0] == pytest.approx(boxes[0][1:5], abs=1e-4)


def test_a_box_may_leave_its_image_by_a_rounded_pixel():
    for beyond, problems in ((ROUNDING, 0), (ROUNDING + 0.1, 1)):
        boxes = (Box("cat", -beyond, 0, 48 + beyond, 64),)
        checked = check_image(
            LabelledImage("a.jpg", Stored(Path("a.jpg")), boxes, "a.xml"), picture(1), {"cat": 1}
        )
        assert checked.image.boxes.tolist() == [[0, 0, 1, 1]]
        assert len(checked.problems) == problems
