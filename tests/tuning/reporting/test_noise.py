"""What a careful engineer would say of differences."""

from __future__ import annotations

import pytest

from tuning.reporting.statistics.bootstrap import Interval
from tuning.reporting.statistics.noise import sentences

NOISE, CLEAR = Interval(0.012, -0.009, 0.031), Interval(0.08, 0.05, 0.11)


@pytest.mark.parametrize(
    ("leads", "stopped", "tried", "says"),
    [
        ({3: NOISE}, [], 2, "holds 0: inside the noise of 60 validation images. Were it true, about 170 images would"),
        ({3: NOISE, 5: NOISE}, [], 3, "The same holds for trial 5: do not choose between these by mAP alone."),
        ({3: CLEAR}, [], 2, "It is clearly ahead of trial 3 (of trial 3 by 0.080, 0.050 to 0.110)."),
        ({3: NOISE, 5: CLEAR, 6: CLEAR}, [], 4, "It is clearly ahead of trials 5 and 6 (of trial 5 by 0.080"),
        ({3: Interval(0.00001, -0.1, 0.1)}, [], 2, "No affordable number of images would tell them apart."),
        ({3: Interval(-0.01, -0.03, 0.01)}, [], 2, "Trial 7 is -0.010 of mAP ahead of trial 3"),
        ({}, [], 1, "No other trial went as far as trial 7"),
        ({3: CLEAR}, [8, 9], 4, "2 trials last measured at an earlier rung: their mAP is that of fewer steps"),
        ({3: CLEAR}, [], 20, "Chosen as the best of 20 on these images, its own mAP is likely a little too good"),
    ],
)  # fmt: skip
def test_it_says_which_differences_the_images_can_bear(leads, stopped, tried, says):
    assert says in " ".join(sentences("mAP", 7, leads, 60, stopped, tried))


def test_a_difference_within_the_noise_is_never_called_clear():
    assert "clearly" not in " ".join(sentences("mAP", 7, {3: NOISE}, 60, [], 2))
