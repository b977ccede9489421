"""What people published comes out of the spaces as they ran it, and adapted where the conditions differ."""

from dataclasses import replace

import pytest

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.parts import augmentation
from search_spaces.space import Space
from trainers import model as models
from trainers.recipe import build

DETECTORS = ("retinanet", "mobilenet", "efficientdet")
PUBLISHED = [
    known
    for detector in DETECTORS
    for branch in search_spaces.get(detector).branches
    for known in branch.published("zoo")
]


def recipes_by_seed(space, conditions):
    return {seed.name: space.replay(seed.params, conditions).recipe for seed in space.seeds(conditions)}


def unordered(recipe):
    return sorted(recipe.to_dict()["augmentations"], key=str)


@pytest.mark.parametrize("known", PUBLISHED, ids=lambda known: known.name)
@pytest.mark.parametrize("name", [None, "all"])
def test_at_its_own_batch_and_steps_a_published_recipe_comes_out_unchanged(known, name):
    """Only the order of the augmentations, which nobody published, is the space's."""
    space = search_spaces.get(name or known.recipe.model)
    conditions = Conditions(steps=known.recipe.steps, preset="zoo", batch_size=known.recipe.batch_size)
    seed = next(seed for seed in space.seeds(conditions) if seed.name == known.name)
    made = space.replay(seed.params, conditions).recipe
    assert not seed.changed
    assert made.optimizer == known.recipe.optimizer
    assert made.schedule == known.recipe.schedule
    assert unordered(made) == unordered(known.recipe)
    assert (made.batch_size, made.steps) == (known.recipe.batch_size, known.recipe.steps)
    assert (made.averaging, made.gradient_clip, made.l2) == (None, None, None)


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_laptop_preset_begins_with_exactly_the_detectors_own_default(detector):
    space = search_spaces.get(detector)
    conditions = Conditions(steps=77, preset="laptop", seed=3)
    first = space.seeds(conditions)[0]
    default = build({"model": detector, **models.get(detector).presets["laptop"], "steps": 77, "seed": 3})
    assert space.replay(first.params, conditions).recipe == default
    assert not first.changed


def test_all_begins_with_one_default_of_each_detector_and_ends_with_every_published_recipe():
    space = search_spaces.get("all")
    seeds = space.seeds(Conditions(steps=100))
    assert {seed.params["detector"] for seed in seeds[: len(DETECTORS)]} == set(DETECTORS)
    assert {known.name for known in PUBLISHED} <= {seed.name for seed in seeds}


@pytest.mark.parametrize("name", search_spaces.MODULES)
def test_published_recipes_take_at_most_a_third_of_a_search_and_the_first_ones_of_each_model(name):
    space, conditions = search_spaces.get(name), Conditions(steps=100)
    first = sum(branch.first_trials for branch in space.branches)
    for trials in range(1, 40):
        published = space.published_among(trials, conditions)
        assert published <= max(first, trials // 3)
        assert published >= min(first, trials)
    default = space.default_trials("laptop")
    assert 2 * space.published_among(default, conditions) <= default


def test_the_other_published_recipes_of_all_take_turns_by_detector():
    seeds = search_spaces.get("all").seeds(Conditions(steps=100))[3:6]
    assert {seed.params["detector"] for seed in seeds} == set(DETECTORS)


def test_the_same_settings_are_proposed_once():
    # at batch 8 the zoo's MobileNet and EfficientDet rates are the same, their detectors not
    for name in search_spaces.MODULES:
        params = [str(sorted(s.params.items())) for s in search_spaces.get(name).seeds(Conditions(steps=9))]
        assert len(set(params)) == len(params)


def test_a_schedule_means_the_same_at_another_budget():
    conditions = Conditions(steps=200)
    made = recipes_by_seed(search_spaces.get("mobilenet"), conditions)["urban-2 experiment 1"]
    assert [made.learning_rate(step) for step in (0, 49, 50, 100, 150, 199)] == pytest.approx(
        [5e-4, 5e-4, 1e-4, 5e-5, 1e-5, 1e-5]
    )


def test_another_batch_scales_the_rate_of_momentum_and_leaves_adams():
    made = recipes_by_seed(search_spaces.get("retinanet"), Conditions(steps=100, batch_size=8))
    assert made["zoo retinanet"].schedule.base == pytest.approx(0.04 * 8 / 64)
    assert made["zoo retinanet"].schedule.warmup_rate == pytest.approx(0.013333 * 8 / 64, rel=1e-5)
    assert made["zorian-f"].schedule.base == pytest.approx(0.004 * 8 / 5)
    assert made["skywall"].schedule.base == 1e-3


def test_what_had_to_change_is_said():
    space = search_spaces.get("efficientdet")
    seeds = {seed.name: seed for seed in space.seeds(Conditions(steps=100, batch_size=8))}
    assert seeds["zoo efficientdet"].changed == (
        "batch 128 → 8",
        "learning rate 0.08 → 0.005 (scaled with the batch)",
        "mild_scale_crop.scale_min 0.1 → 0.6",
        "mild_scale_crop.scale_max 2 → 1.5",
    )


def test_an_augmentation_that_the_space_does_not_offer_is_left_out_and_said():
    crop = {"name": "random_crop_image"}
    params, missing = augmentation.express([crop, {"name": "random_horizontal_flip"}], ("flip", "gray"))
    assert (params, missing) == ({"flip": True}, ["random_crop_image"])


def test_every_source_names_who_and_with_what_result():
    for known in PUBLISHED:
        assert "COCO" in known.source or "mAP" in known.source


def test_an_optimizer_taken_out_of_a_space_takes_its_seeds_with_it():
    branch = search_spaces.get("retinanet").branches[0]
    rates = {kind: rate for kind, rate in branch.from_scratch.items() if kind != "adam"}
    left = Space("mine", (replace(branch, from_scratch=rates),)).seeds(Conditions(steps=123))
    assert {seed.params["optimizer"] for seed in left} == {"momentum"}
    assert {seed.name for seed in left} == {"zoo retinanet", "peryaudo", "zorian-f", "urban retinanet"}


def test_follow_me_begins_with_the_students_recipe_and_says_what_a_laptop_changes_of_it():
    space, conditions = search_spaces.get("follow_me"), Conditions(steps=100)
    student, default = space.seeds(conditions)
    assert (student.name, default.name) == ("follow me student", "laptop fcn")
    assert student.changed == ("batch 32 → 4", "decoder_output_stride 1 → 2", "flip_test False → True")
    assert not default.changed
    made = space.replay(student.params, conditions).recipe
    assert (made.depth, made.filters, made.schedule.base, made.dice) == (2, 32, 0.01, 0.0)
    default_recipe = build({"model": "fcn", **models.get("fcn").presets["laptop"], "steps": 100})
    assert space.replay(default.params, conditions).recipe == default_recipe
