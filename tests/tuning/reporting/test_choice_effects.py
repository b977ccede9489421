"""The table of choices is right on planted cases, in which the choice that matters is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tuning.reporting.statistics.choice_effects import effects

BACKBONES, NECKS, HEADS = ("small", "middle", "large"), ("fpn", "fpg"), ("retina", "pisa")
EFFECTS = {"small": -0.1, "middle": 0.0, "large": 0.1}


def planted(noise: float, seed: int = 0, count: int = 2):
    """Trials of all combinations, `count` times, in which the backbone alone matters."""
    draw = np.random.default_rng(seed)
    trials = [
        {"backbone": backbone, "neck": neck, "head": head}
        for backbone, neck, head in itertools.product(BACKBONES, NECKS, HEADS)
        for _ in range(count)
    ]
    return trials, [0.4 + EFFECTS[trial["backbone"]] + draw.normal(0, noise) for trial in trials]


def by_choice(found):
    return {each.choice: each for each in found}


def test_the_choice_that_was_planted_is_found_and_no_other():
    trials, values = planted(noise=0.02)
    found = by_choice(effects(trials, values, ("backbone", "neck", "head")))
    for choice, effect in EFFECTS.items():
        assert found[choice].effect == pytest.approx(effect, abs=0.02)
    assert found["large"].interval.low > 0 > found["small"].interval.high
    for choice in (*NECKS, *HEADS):
        assert found[choice].interval.low < 0 < found[choice].interval.high


def test_a_choice_that_was_tried_with_good_ones_gets_no_credit_for_them():
    trials, values = planted(noise=0.01)
    kept = [
        i
        for i, each in enumerate(trials)
        if (each["neck"] == "fpg") == (each["backbone"] == "large") or i % 3 == 0
    ]
    found = by_choice(
        effects([trials[i] for i in kept], [values[i] for i in kept], ("backbone", "neck", "head"))
    )
    assert found["fpg"].mean > found["fpn"].mean + 0.05  # the backbone's doing
    assert found["fpg"].effect == pytest.approx(0, abs=0.02)


def test_what_the_trials_cannot_tell_apart_has_no_effect_of_its_own():
    trials = [{"backbone": "large", "neck": "fpg"}] * 4 + [{"backbone": "small", "neck": "fpn"}] * 4
    found = effects(trials, [0.5, 0.51, 0.5, 0.49, 0.3, 0.31, 0.3, 0.29], ("backbone", "neck"))
    assert [each.effect for each in found] == [None] * 4
    assert by_choice(found)["large"].mean == pytest.approx(0.5)


def test_smaller_may_be_better():
    trials, values = planted(noise=0.01)
    found = effects(trials, [1 - value for value in values], ("backbone",), lower=True)
    assert [each.choice for each in found] == ["large", "middle", "small"]
    assert found[0].effect > 0


def test_the_intervals_hold_at_once_in_95_of_100_studies_in_which_nothing_matters():
    held = 0
    for seed in range(200):
        trials, _ = planted(noise=1.0)
        values = np.random.default_rng(seed).normal(0, 1, len(trials)).tolist()
        found = effects(trials, values, ("backbone", "neck", "head"))
        held += all(each.interval.low < 0 < each.interval.high for each in found)
    assert 186 <= held <= 200
