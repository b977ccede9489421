"""Which differences between trials the report calls significant."""

from __future__ import annotations

import pytest

from tuning.reporting.statistics.bootstrap import Interval
from tuning.reporting.statistics.significance import sentences

NOISE, CLEAR = Interval(0.012, -0.009, 0.031), Interval(0.08, 0.05, 0.11)


@pytest.mark.parametrize(
    ("leads", "stopped", "tried", "says"),
    [
        ({3: NOISE}, [], 2, "contains 0: not significant on 60 validation images. If it is real, about 170 images"),
        ({3: NOISE, 5: NOISE}, [], 3, "The same holds for trial 5: do not choose between these by mAP alone."),
        ({3: CLEAR}, [], 2, "It is significantly better than trial 3 (trial 3: by 0.080, 0.050 to 0.110)."),
        ({3: NOISE, 5: CLEAR, 6: CLEAR}, [], 4, "significantly better than trials 5 and 6 (trial 5: by 0.080"),
        ({3: Interval(0.00001, -0.1, 0.1)}, [], 2, "No affordable number of images would tell them apart."),
        ({3: Interval(-0.01, -0.03, 0.01)}, [], 2, "Trial 7 leads trial 3 by -0.010 mAP"),
        ({}, [], 1, "No other trial has as many steps as trial 7"),
        ({3: CLEAR}, [8, 9], 4, "2 trials last measured at an earlier rung: their mAP is after fewer steps"),
        ({3: CLEAR}, [], 20, "best of 20 trials on these images, so its mAP is probably slightly overestimated"),
    ],
)  # fmt: skip
def test_it_says_which_differences_the_images_can_bear(leads, stopped, tried, says):
    assert says in " ".join(sentences("mAP", 7, leads, 60, stopped, tried))


def test_a_difference_within_the_noise_is_never_called_clear():
    assert "significantly better" not in " ".join(sentences("mAP", 7, {3: NOISE}, 60, [], 2))
