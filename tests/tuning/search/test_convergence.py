"""A search that ends when the next training is expected to gain less than it is worth (`--until-converged`)."""

from __future__ import annotations

import numpy as np
import pytest
from searches import about, context
from test_reserve import STEPS, simulated  # noqa: F401 - a fixture

from trainers.errors import UserError
from tuning.api.settings import Settings
from tuning.search.limits.budget import Budget
from tuning.search.limits.convergence import expected_gain
from tuning.search.samplers.random_sampler import RandomSampler
from tuning.search.schedulers.halving import Halving
from tuning.search.search import Search
from tuning.study.reading import CONVERGED
from tuning.study.study import Study


def test_of_trials_that_are_drawn_alike_the_gain_is_what_the_next_one_brings_on_average():
    rng, expected, gained = np.random.default_rng(0), [], []
    for _ in range(4000):
        scores = rng.exponential(0.1, 13)
        expected.append(expected_gain(scores[:12], 12))
        gained.append(max(0.0, scores[12] - scores[:12].max()))
    assert np.mean(expected) == pytest.approx(np.mean(gained), rel=0.2)


def test_with_few_trials_nothing_is_expected_and_equal_ones_promise_nothing():
    assert expected_gain([0.1, 0.2, 0.3], 3) is None
    assert expected_gain([0.1, 0.2, 0.3, 0.4], 0) is None, "all were known from an earlier study"
    assert expected_gain([0.3, 0.3, 0.3, 0.3], 4) == 0
    assert expected_gain([0.1, 0.2, 0.3, 0.4], 8) < expected_gain([0.1, 0.2, 0.3, 0.4], 4)


@pytest.fixture
def converging(tmp_path, simulated):  # noqa: F811
    study = Study.open(tmp_path / "street", about(), durable=False)
    yield lambda worth, confirm=0: simulated(study, Budget(trials=60), worth=worth, confirm=confirm)[0]
    study.close()


@pytest.mark.slow(2)
def test_a_search_that_has_converged_begins_nothing_more_and_says_what_it_expected(converging):
    search = converging(0.01)
    noted = search.study.attribute(CONVERGED)
    assert search.exhausted
    assert search.ended < 60
    assert noted["expected_gain"] < noted["worth"] == 0.01
    assert {record.state for record in search.study.records()} == {"completed", "pruned"}
    goes_on = Search(search.study, RandomSampler(context()), Halving((10, 30, STEPS)), 60, worth=1e-9)
    assert not goes_on.exhausted
    assert search.study.attribute(CONVERGED) is None


@pytest.mark.slow(2)
def test_the_best_are_still_confirmed(converging):
    search = converging(0.01, confirm=2)
    assert [record.repeats is not None for record in search.study.records()][-2:] == [True, True]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"until_converged": 0.0}, "--until-converged must be above 0, not 0"),
        ({"until_converged": 0.1, "also": ("latency_ms",)}, "--until-converged is for one objective"),
    ],
)
def test_what_cannot_converge_is_refused(chosen, said):
    with pytest.raises(UserError, match=said):
        Settings(space="mobilenet", **chosen)
