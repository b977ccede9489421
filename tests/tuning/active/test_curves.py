"""Curves over labels: areas, the lead over the control, the labels needed, and the sentence that says what is shown."""

from __future__ import annotations

import numpy as np
import pytest

from tuning.active import curves
from tuning.active.curves import Curves
from tuning.active.verdict import verdict

LABELS = np.array([100, 200, 300, 400, 500])


def made(ahead: float, noise: float, seeds: int = 5, **more: float) -> Curves:
    """`random` rises by .1 every 100 labels; `entropy`, and each of `more`, is `ahead` of it in the mean.

    noise: standard deviation of the differences between seeds.
    """
    generator = np.random.default_rng(1)
    luck = generator.normal(0, 0.05, (seeds, 1))  # of a seed, the same for all strategies
    control = 0.1 + 0.1 * np.arange(5) + luck
    values = {}
    for name, lead in {"entropy": ahead, **more}.items():
        values[name] = control + lead * np.array([0, 1, 1, 1, 1]) + generator.normal(0, noise, (seeds, 5))
    return Curves(LABELS, {**values, "random": control})


def test_the_area_under_a_curve_is_the_mean_of_the_metric_over_the_range_of_labels():
    flat = Curves(LABELS, {"a": np.full((2, 5), 0.3), "b": np.array([[0.0, 0.1, 0.2, 0.3, 0.4]] * 2)})
    assert curves.areas(flat, "a") == pytest.approx([0.3, 0.3])
    assert curves.areas(flat, "b") == pytest.approx([0.2, 0.2])


def test_luck_that_strategies_of_a_seed_share_is_not_in_the_interval_of_their_difference():
    ahead = curves.lead(made(0.05, 0.0), "entropy", "random")
    assert (ahead.low, ahead.high) == pytest.approx(
        (0.04375, 0.04375)
    )  # the first of four spans is half ahead


def test_the_interval_of_a_mean_is_students():
    found = curves.interval(np.array([0.1, 0.2, 0.3]))
    # t of 2 degrees of freedom is 4.303; the standard error .1 / sqrt(3)
    assert (found.low, found.value, found.high) == pytest.approx((-0.0484, 0.2, 0.4484), abs=1e-4)
    assert curves.interval(np.array([0.1])) is None


def test_intervals_of_several_strategies_are_wider_so_that_all_hold_at_once():
    one, two = made(0.05, 0.02), made(0.05, 0.02, margin=0.0)
    width = [lead.high - lead.low for lead in (curves.lead(each, "entropy", "random") for each in (one, two))]
    assert width[1] > 1.2 * width[0]


def test_the_labels_needed_are_where_the_curve_crosses_what_the_control_reaches():
    found = curves.needed(made(0.1, 0.0), "entropy", "random", 4)
    assert found.control == 500
    assert (found.fewest, found.labels, found.most) == pytest.approx((400, 400, 400))


def test_the_interval_of_the_labels_needed_holds_the_point_and_ends_open_where_nothing_is_sure():
    found = curves.needed(made(0.05, 0.08), "entropy", "random", 4)
    assert found.fewest <= found.labels
    assert found.most is None


def test_the_interval_of_the_labels_needed_covers_the_truth_in_about_95_of_100_simulations():
    generator, truth, held = np.random.default_rng(5), 400.0, 0
    for _ in range(300):
        control = 0.1 + 0.1 * np.arange(5) + generator.normal(0, 0.03, (5, 5))
        better = 0.2 + 0.1 * np.arange(5) + generator.normal(0, 0.03, (5, 5))
        found = curves.needed(Curves(LABELS, {"entropy": better, "random": control}), "entropy", "random", 4)
        held += (found.fewest or np.inf) <= truth <= (found.most or np.inf)
    assert held >= 270


@pytest.mark.parametrize(
    ("ahead", "noise", "says"),
    [
        (0.1, 0.005, "entropy is better than random: it reaches random's mAP50 of"),
        (-0.1, 0.005, "entropy is worse than random: it does not reach random's mAP50 of"),
        (0.005, 0.1, "No gain of entropy over random is shown: the mean mAP50 along the curve differs by"),
    ],
)
def test_the_verdict_claims_only_what_the_interval_shows(ahead, noise, says):
    sentence = verdict(made(ahead, noise), "entropy", "random", "mAP50")
    assert sentence.startswith(says)
    assert "over 5 seeds" in sentence


def test_one_seed_shows_nothing():
    sentence = verdict(made(0.1, 0.0, seeds=1), "entropy", "random", "mAP50")
    assert sentence.startswith("Nothing is shown of entropy: one seed gives no interval.")
    assert "with 400 labels, 80%;" in sentence
