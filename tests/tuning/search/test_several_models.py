"""Where a search has several models or losses, no trial is judged by a loss that is another function than its own."""

from __future__ import annotations

import itertools
import random

import pytest
from searches import OBJECTIVE

from trainers import score_order
from trainers.objective import Score
from tuning.search.samplers.tpe import compared
from tuning.search.schedulers.halving import Halving

RUNGS = (10, 30, 90)


def score(model: str, mean: float, loss: float, function: str | None = None) -> Score:
    """Of a trial of the model. function: the name of its loss, where the model has several."""
    return OBJECTIVE.of_values((mean, mean, loss), model, function)


def at_rung(step: int, *scores: Score) -> Halving:
    halving = Halving(RUNGS, 3, 3, mode="promote")
    for trial, each in enumerate(scores):
        halving.record(trial, step, each)
    return halving


def promoted(halving: Halving, step: int, trials: int) -> list[int]:
    waiting, found = dict.fromkeys(range(trials), step), []
    while (trial := halving.promotable(waiting, more=True)) is not None:
        halving.promote(trial, waiting.pop(trial))
        found.append(trial)
    return found


def test_at_the_first_rung_each_model_has_its_share_though_one_learns_faster():
    fast = [score("mobilenet", 0.1 + n / 100, 1.0) for n in range(6)]
    slow = [score("retinanet", 0.0, 90.0 + n) for n in range(3)]
    assert sorted(promoted(at_rung(10, *fast, *slow), 10, 9)) == [4, 5, 6]


def test_later_models_are_ranked_together_and_below_chance_by_their_places_among_their_own():
    scores = [score("mobilenet", 0.2, 9.0), score("retinanet", 0.3, 9.0), score("mobilenet", 0.1, 1.0)]
    assert promoted(at_rung(30, *scores), 30, 3) == [1]
    small = [score("mobilenet", 0.0, 1.0 + n) for n in range(4)]
    large = [score("retinanet", 0.0, 500.0 + n) for n in range(4)]
    assert sorted(promoted(at_rung(30, *small, *large), 30, 8)) == [0, 4]


def test_of_one_model_with_two_losses_those_below_chance_are_ranked_by_their_places_among_their_own():
    small = [score("family", 0.0, 1.0 + n, "family retina") for n in range(4)]
    large = [score("family", 0.0, 500.0 + n, "family pisa") for n in range(4)]
    for step in RUNGS[:2]:
        assert sorted(promoted(at_rung(step, *small, *large), step, 8)) == [0, 4]
    learned = score("family", 0.2, 900.0, "family pisa")
    for step in RUNGS[:2]:
        assert promoted(at_rung(step, *small[:3], learned), step, 4)[0] == 3
    merits = compared(dict(enumerate([*small[:2], *large[:2]])), OBJECTIVE)
    assert merits[0] == merits[2] > merits[1] == merits[3]


def test_one_model_is_ranked_by_its_keys_alone():
    scores = [score("mobilenet", 0.0, loss) for loss in (3.0, 1.0, 2.0)]
    assert score_order.keys(scores) == [each.key for each in scores]


def test_the_order_does_not_depend_on_the_order_of_arrival():
    scores = [score("mobilenet", 0.0, 1.0), score("mobilenet", 0.0, 2.0), score("retinanet", 0.1, 5.0)]
    ranks = set()
    for order in itertools.permutations(range(3)):
        halving = Halving(RUNGS, 3, 3, mode="promote")
        for trial in order:
            halving.record(trial, 10, scores[trial])
        ranks.add(tuple(halving.judge(trial, 10).rank for trial in range(3)))
    assert len(ranks) == 1


@pytest.mark.parametrize("trials", [5, 12, 30])
def test_the_hopeless_are_never_promoted_whatever_the_models(trials):
    draws = random.Random(trials)
    halving, waiting, hopeless = Halving(RUNGS, 3, 3, mode="promote"), {}, set()
    for begun in range(trials):
        halving.record(
            begun, 10, score(draws.choice("abc"), draws.choice((0.0, draws.random())), draws.random())
        )
        waiting[begun] = 10
        hopeless.update(halving.hopeless(waiting, trials))
        while (trial := halving.promotable(waiting, more=begun < trials - 1)) is not None:
            assert trial not in hopeless
            halving.promote(trial, waiting.pop(trial))


def test_the_sampler_sees_values_that_compare_between_models():
    first = {
        0: score("mobilenet", 0.0, 1.0),
        1: score("mobilenet", 0.0, 2.0),
        2: score("retinanet", 0.0, 700.0),
        3: score("retinanet", 0.0, 900.0),
    }
    merits = compared(first, OBJECTIVE)
    assert merits[0] == merits[2] > merits[1] == merits[3]
    second = compared({0: score("mobilenet", 0.2, 1.0), 2: score("retinanet", 0.3, 600.0)}, OBJECTIVE)
    assert second[2] > second[0]
    alone = compared({number: first[number] for number in (0, 1)}, OBJECTIVE)
    assert alone[1] == first[1].merit
