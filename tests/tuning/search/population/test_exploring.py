"""How a recipe is changed for a trial that goes on from another's weights, in every space; and what is refused."""

from __future__ import annotations

import math

import pytest
from optuna.trial import create_trial
from searches import OBJECTIVE

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.fixed_trials import contains
from trainers.errors import UserError
from tuning.api import replaying
from tuning.api.asked import as_begun
from tuning.api.settings import Settings
from tuning.search.population.bandit import explorer_of
from tuning.search.population.exploring import Explorer, described, kept
from tuning.search.population.gains import Gain
from tuning.search.population.requirements import POPULATIONS
from tuning.search.sampler import SamplerContext
from tuning.search.samplers.random_sampler import RandomSampler

PLACES = [
    *((name, preset) for name in ("mobilenet", "all", "faster_rcnn") for preset in ("laptop", "zoo")),
    ("segmenters", "laptop"),
]


def proposed(space, conditions: Conditions, seed: int):
    """A random trial of the space, as Optuna keeps it, and its recipe."""
    context = SamplerContext(lambda trial: space.suggest(trial, conditions), seed, OBJECTIVE)
    found = RandomSampler(context).propose(0)
    trial = create_trial(params=dict(found.params), distributions=dict(found.distributions), value=0.0)
    return trial, found.recipe


def explorer(space, conditions: Conditions, seed: int = 0, scheduler: str = "pbt") -> Explorer:
    return explorer_of(scheduler, lambda trial: space.suggest(trial, conditions), seed)


@pytest.mark.parametrize("scheduler", POPULATIONS)
@pytest.mark.parametrize(("name", "preset"), PLACES)
def test_a_checkpoint_fits_the_changed_recipe_whatever_the_space(name, preset, scheduler):
    space = search_spaces.get(name)
    conditions = Conditions(steps=270, preset=preset)
    changed = set()
    for seed in range(6):
        trial, recipe = proposed(space, conditions, seed)
        known = [
            Gain(trial.params, 0, 0.1),
            *(Gain(proposed(space, conditions, i)[0].params, 0, 0.0) for i in range(9)),
        ]
        found = explorer(space, conditions, seed, scheduler).explore(9, trial, recipe.to_dict(), known, 90)
        assert kept(found.recipe.to_dict()) == kept(recipe.to_dict())
        assert space.replay(found.params, conditions).recipe == found.recipe
        assert all(contains(found.distributions[each], value) for each, value in found.params.items())
        changed |= {each for each, value in found.params.items() if trial.params.get(each) != value}
    assert any("learning_rate" in each for each in changed)


def test_the_seed_and_the_number_decide_the_changes():
    space, conditions = search_spaces.get("mobilenet"), Conditions(steps=270)
    trial, recipe = proposed(space, conditions, 0)
    found = [explorer(space, conditions, 3).explore(number, trial, recipe.to_dict()) for number in (9, 9, 10)]
    assert found[0] == found[1]
    assert found[0].recipe != found[2].recipe


def test_a_rate_is_multiplied_or_drawn_anew_and_stays_in_its_range():
    space, conditions = search_spaces.get("mobilenet"), Conditions(steps=270)
    trial, recipe = proposed(space, conditions, 1)
    rate = next(each for each in trial.params if each.endswith("learning_rate"))
    own, span = trial.params[rate], trial.distributions[rate]
    explore = explorer(space, conditions).explore
    factors = [explore(number, trial, recipe.to_dict()).params[rate] / own for number in range(200)]
    for factor in (0.8, 1.2):
        assert 50 < sum(math.isclose(each, factor) for each in factors) < 100
    assert all(span.low <= own * each <= span.high * (1 + 1e-9) for each in factors)


def test_changes_are_told_rates_first():
    before = {"flip": True, "mobilenet.adam.learning_rate": 0.001, "hue": False}
    after = {"flip": False, "mobilenet.adam.learning_rate": 0.0012, "hue": False}
    assert described(before, after) == "mobilenet.adam.learning_rate 0.001 → 0.0012, flip True → False"
    assert described(before, before) == "the same recipe"


@pytest.mark.parametrize("scheduler", POPULATIONS)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"also": ("latency_ms",)},
            "--and is not for --scheduler pbt: a population is ranked by one objective",
        ),
        ({"brackets": 2}, "--brackets is not for --scheduler pbt"),
        ({"reduction_factor": 4}, "--reduction-factor is not for --scheduler pbt"),
        ({"folds": 2}, "--folds is not for --scheduler pbt"),
        ({"confirm": 2}, "--confirm is not for --scheduler pbt"),
        ({"until_converged": 0.01}, "--until-converged is not for --scheduler pbt"),
        (
            {"trials": None, "time": 60.0},
            "--scheduler pbt needs --trials, the number of its members, of 2 or more",
        ),
        ({"trials": 1}, "--scheduler pbt needs --trials, the number of its members, of 2 or more"),
    ],
)
def test_what_a_population_cannot_have_is_refused_in_one_line(scheduler, given, said):
    with pytest.raises(UserError) as refused:
        Settings("mobilenet", scheduler=scheduler, **({"trials": 8} | given))
    assert str(refused.value).startswith(said.replace("pbt", scheduler))
    assert "\n" not in str(refused.value)


def test_a_population_keeps_its_steps(open_study):
    study = open_study(scheduler="pbt")
    asked = Settings("mobilenet", scheduler="pbt", trials=8, max_steps=270)
    with pytest.raises(UserError, match="--max-steps 270: this population was begun with 90"):
        as_begun(asked, study.folder)
    assert as_begun(Settings("mobilenet", scheduler="pbt", trials=8), study.folder).max_steps == 90


def test_its_rungs_are_at_equal_distances():
    made = Settings("mobilenet", scheduler="pbt", trials=8, max_steps=120).new_scheduler()
    assert made.rungs == (30, 60, 90, 120)


def test_a_replay_of_recorded_curves_is_refused():
    rule = replaying.Rule("pbt")
    with pytest.raises(UserError, match="--scheduler pbt: learning curves do not tell how a trial goes on"):
        replaying.replay([], search_spaces.get("mobilenet"), Conditions(steps=90), rule, 0)
