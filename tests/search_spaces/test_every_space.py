"""The contract of a space, held by every one of this project under both presets."""

import functools
import itertools
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution

import search_spaces
from search_spaces.conditions import PRESETS, Conditions
from search_spaces.fixed_trials import RecordingTrial
from search_spaces.rows import fingerprint, from_dict
from trainers import model as models
from trainers.recipe import InitialWeights, Recipe

optuna.logging.set_verbosity(optuna.logging.WARNING)

CASES = [
    (name, preset)
    for name, preset in itertools.product(search_spaces.MODULES, PRESETS)
    if preset == "laptop" or name not in search_spaces.SEGMENTERS  # these have no published weights
]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def case(request):
    name, preset = request.param
    space = search_spaces.get(name)
    return space, Conditions(steps=space.default_steps(preset), preset=preset, seed=7)


class Randomly(RecordingTrial):
    """Uniform over each distribution, as Optuna's random sampler but without its storage's cost."""

    def __init__(self, generator):
        super().__init__()
        self.generator = generator

    def value_of(self, name, distribution):
        if isinstance(distribution, CategoricalDistribution):
            return self.generator.choice(distribution.choices)
        if isinstance(distribution, IntDistribution):
            return self.generator.randint(distribution.low, distribution.high)
        if distribution.log:
            low, high = math.log(distribution.low), math.log(distribution.high)
            value = math.exp(self.generator.uniform(low, high))
            return min(max(value, distribution.low), distribution.high)
        return self.generator.uniform(distribution.low, distribution.high)


@functools.cache
def samples(space, conditions, count=250):
    """(recipe, params, distributions) of random trials."""
    generator = random.Random(1)
    trials = [Randomly(generator) for _ in range(count)]
    return [(space.suggest(trial, conditions), trial.params, trial.distributions) for trial in trials]


def holds(row, params):
    return all(name in params and params[name] in values for name, values in row.when)


@pytest.mark.slow
def test_every_sample_is_a_valid_recipe_and_its_parameters_are_the_rows_whose_conditions_hold(case):
    space, conditions = case
    rows = {row.name: row for row in space.rows(conditions)}
    asked = set()
    for recipe, params, distributions in samples(space, conditions):
        assert isinstance(recipe, Recipe)
        assert (recipe.steps, recipe.seed) == (conditions.steps, 7)
        assert recipe.model in space.models
        assert {name for name, row in rows.items() if holds(row, params)} == set(params)
        assert all(distributions[name] == rows[name].distribution for name in params)
        asked |= set(params)
    assert asked == set(rows)


def test_samples_reach_every_model_optimizer_and_schedule(case):
    space, conditions = case
    seen = set()
    for recipe, _, _ in samples(space, conditions):
        seen.add((recipe.model, recipe.optimizer.kind, recipe.schedule.kind))
    optimizers = (
        ("adamw", "momentum") if space.name in search_spaces.FAMILIES else ("adam", "momentum", "rms_prop")
    )
    kinds = optimizers, ("constant", "cosine", "exponential", "manual_step")
    assert seen == set(itertools.product(space.models, *kinds))


def test_the_preset_decides_image_size_batch_and_initial_weights(case):
    space, conditions = case
    for recipe, _, _ in samples(space, conditions):
        if conditions.preset == "laptop":
            assert recipe.image_size <= 320
            assert recipe.batch_size == models.get(recipe.model).presets["laptop"]["batch_size"]
            assert recipe.weights.source == "none"
        else:
            assert recipe.image_size == 640
            assert recipe.weights.source == "zoo"


def test_what_a_person_fixes_is_fixed_and_no_longer_a_parameter(case):
    space, conditions = case
    fixed = Conditions(steps=50, preset=conditions.preset, image_size=256, batch_size=3)
    for recipe, params, _ in samples(space, fixed, 20):
        assert (recipe.steps, recipe.image_size, recipe.batch_size) == (50, 256, 3)
        assert not any(name.endswith("batch_size") for name in params)
        for augmentation in recipe.augmentations:
            assert augmentation.options.get("output_size", 256) == 256


@pytest.mark.filterwarnings("error")
def test_a_seed_enqueued_in_a_study_gives_back_its_own_parameters_and_one_recipe(case):
    space, conditions = case
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    seeds = space.seeds(conditions)
    for seed in seeds:
        study.enqueue_trial(seed.params)
        trial = study.ask()
        recipe = space.suggest(trial, conditions)
        assert trial.params == seed.params
        assert space.suggest(optuna.trial.FixedTrial(seed.params), conditions) == recipe
        assert space.replay(seed.params, conditions) == (recipe, trial.distributions)
    assert len({seed.name for seed in seeds}) == len(seeds)
    assert {space.replay(seed.params, conditions).recipe.model for seed in seeds} == set(space.models)


def test_replayed_parameters_make_a_finished_trial_that_optuna_takes(case):
    space, conditions = case
    study = optuna.create_study(direction="maximize")
    for i, seed in enumerate(space.seeds(conditions)):
        distributions = space.replay(seed.params, conditions).distributions
        study.add_trial(
            optuna.trial.create_trial(params=seed.params, distributions=distributions, value=i / 100)
        )
    assert study.best_params == space.seeds(conditions)[-1].params


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_grouped_multivariate_tpe_proposes_valid_recipes_past_its_random_start(case):
    space, conditions = case
    sampler = optuna.samplers.TPESampler(seed=1, multivariate=True, group=True, n_startup_trials=5)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(12):
        trial = study.ask()
        recipe = space.suggest(trial, conditions)
        study.tell(trial, recipe.schedule.base)
    assert len(study.trials) == 12


@pytest.mark.slow
def test_steps_and_seed_do_not_change_the_hash_but_weights_do(case):
    space, conditions = case
    again = Conditions(steps=conditions.steps * 3, preset=conditions.preset, seed=1)
    assert space.hash(again) == space.hash(conditions)
    other = "none" if conditions.preset == "zoo" else "zoo"
    changed = Conditions(
        steps=conditions.steps, preset=conditions.preset, weights=InitialWeights(source=other)
    )
    assert space.hash(changed) != space.hash(conditions)


def test_rows_survive_json_with_their_hash(case):
    space, conditions = case
    rows = space.rows(conditions)
    back = [from_dict(fields) for fields in json.loads(json.dumps([row.to_dict() for row in rows]))]
    assert back == list(rows)
    assert fingerprint(back[::-1]) == space.hash(conditions)


def output_of(program, **environment):
    """What another Python prints that runs `program` in this repository."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[2], env=os.environ | environment,
    )  # fmt: skip
    return done.stdout


@pytest.mark.slow
def test_hashes_are_the_same_in_another_process_with_another_string_hashing():
    conditions = "Conditions(steps=100, preset='zoo')"
    program = (
        "import search_spaces; from search_spaces.conditions import Conditions; "
        f"print([search_spaces.get(name).hash({conditions}) for name in search_spaces.MODULES])"
    )
    spaces = [search_spaces.get(name) for name in search_spaces.MODULES]
    here = [space.hash(Conditions(steps=100, preset="zoo")) for space in spaces]
    assert output_of(program, PYTHONHASHSEED="12345").strip() == str(here)
    assert len(set(here)) == len(here)


def test_no_space_needs_tensorflow_ray_or_mlflow():
    program = (
        "import sys, search_spaces; from search_spaces.conditions import Conditions; "
        "search_spaces.get('all').seeds(Conditions(steps=100)); "
        "print([m for m in ('tensorflow', 'ray', 'mlflow') if m in sys.modules])"
    )
    assert output_of(program).strip() == "[]"
