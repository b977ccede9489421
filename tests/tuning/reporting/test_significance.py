"""Which differences between trials the report calls significant, and what the best has without luck."""

from __future__ import annotations

import numpy as np
import pytest

from tuning.reporting.statistics.bootstrap import Interval, bootstrap_metric, draw_resamples, standard_errors
from tuning.reporting.statistics.selection import without_luck
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
        ({3: CLEAR}, [], 20, "selected as the best of 20 trials on these images, which flatters it: corrected for that, "
         "its mAP is 0.412. The intervals of differences allow for it: they hold at once for all pairs of the 20."),
    ],
)  # fmt: skip
def test_it_says_which_differences_the_images_can_bear(leads, stopped, tried, says):
    assert says in " ".join(sentences("mAP", 7, leads, 60, stopped, tried, 0.412))


def test_a_difference_within_the_noise_is_never_called_clear():
    assert "significantly better" not in " ".join(sentences("mAP", 7, {3: NOISE}, 60, [], 2))


IMAGES, DRAWN = 60, draw_resamples(60, resamples=200)


def measured(rng: np.random.Generator, means: list[float]):
    """Trials whose metric is the mean of a value per image, of which all trials share a part."""
    images = rng.normal(0, 1, IMAGES)
    values = [mean + images + rng.normal(0, 1, IMAGES) for mean in means]
    return [bootstrap_metric(lambda counts, of=of: counts @ of / counts.sum(axis=1), DRAWN) for of in values]


def _false_winners(trials: int, reports: int, among: int) -> int:
    """The number of reports on equal trials that call the best significantly better than another."""
    named = 0
    for seed in range(reports):
        found = sorted(measured(np.random.default_rng(seed), [0.0] * trials), key=lambda each: -each.value)
        named += any((found[0] - other).interval(among).excludes_zero for other in found[1:])
    return named


def test_of_twelve_equal_trials_the_best_is_rarely_called_better_though_plain_intervals_mostly_do():
    assert _false_winners(12, 40, among=12) <= 4
    assert _false_winners(12, 10, among=2) >= 6


def test_intervals_of_two_trials_are_students_and_those_of_more_are_tukeys():
    assert standard_errors(60) == pytest.approx(2.001, abs=0.001)  # Student's t of 59 degrees of freedom
    assert standard_errors(61, 12) == pytest.approx(
        4.81 / 2**0.5, abs=0.01
    )  # tables of Tukey's range: q(12, 60)


def test_without_luck_the_best_of_equal_trials_is_no_better_than_the_others():
    raw, corrected, some = [], [], []
    for seed in range(60):
        found = sorted(measured(np.random.default_rng(seed), [0.5] * 12), key=lambda each: -each.value)
        mean = np.mean([each.value for each in found])
        raw.append(found[0].value - mean)
        corrected.append(without_luck(found) - mean)
        some.append(without_luck(found[:6], [each.value for each in found[6:]]) - mean)
    assert np.mean(raw) > 0.15
    assert abs(np.mean(corrected)) < 0.04
    assert abs(np.mean(some)) < 0.05


@pytest.mark.parametrize("sign", [1, -1])
def test_a_best_trial_that_is_best_on_every_resample_keeps_its_value(sign):
    far = measured(np.random.default_rng(0), [sign * 4.0, 0.0, 0.1])
    assert without_luck(far, minimize=sign < 0) == pytest.approx(far[0].value, abs=1e-9)
