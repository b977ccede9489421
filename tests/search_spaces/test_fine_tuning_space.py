"""From trained weights, trials vary how the backbone is trained on, too; from scratch there is nothing to keep."""

import pytest
from test_every_space import samples

import search_spaces
from search_spaces.branch import Published
from search_spaces.conditions import Conditions
from trainers.recipe import InitialWeights

ZOO = InitialWeights(source="zoo", part="boxes")
NAMES = (*search_spaces.DETECTORS, *search_spaces.OPTIONAL)


def tuned(name: str, preset: str = "laptop", weights: InitialWeights = ZOO):
    conditions = Conditions(steps=300, preset=preset, weights=weights)
    return [recipe for recipe, _, _ in samples(search_spaces.get(name), conditions)]


@pytest.mark.parametrize("name", NAMES)
def test_a_backbone_is_trained_from_the_start_or_later_or_not_at_all(name):
    recipes = tuned(name)
    assert {(each.backbone_rate > 0, each.backbone_frozen > 0) for each in recipes} == {
        (True, False), (True, True), (False, False),
    }  # fmt: skip
    rates = [each.backbone_rate for each in recipes if each.backbone_rate]
    assert min(rates) < 0.1 < max(rates) <= 1


def test_batch_norm_may_keep_its_statistics_where_every_trial_has_a_graph_of_its_own_anyway():
    assert {each.freeze_batch_norm for each in tuned("mobilenet", "zoo")} == {True, False}
    assert {each.freeze_batch_norm for each in tuned("mobilenet")} == {False}


@pytest.mark.parametrize("name", NAMES)
def test_from_scratch_the_whole_network_is_trained(name):
    for each in tuned(name, weights=InitialWeights(source="none")):
        assert (each.backbone_rate, each.backbone_frozen, each.freeze_batch_norm) == (1, 0, False)


@pytest.mark.parametrize(
    "changed",
    [
        {"backbone_rate": 0.1},
        {"backbone_rate": 0.5, "backbone_frozen": 0.25},
        {"backbone_rate": 0.0},
        {"freeze_batch_norm": True},
    ],
)
def test_a_recipe_that_was_tuned_so_comes_back_from_its_parameters(changed):
    space, conditions = search_spaces.get("mobilenet"), Conditions(steps=300, preset="zoo", batch_size=8)
    recipe = space.replay(space.seeds(conditions)[0].params, conditions).recipe.replace(**changed)
    seed = space.adapted(Published("tuned", "", recipe), conditions)
    assert not seed.changed
    assert space.replay(seed.params, conditions).recipe == recipe


def test_what_the_laptop_preset_cannot_vary_is_said():
    space, conditions = search_spaces.get("mobilenet"), Conditions(steps=300, weights=ZOO)
    recipe = space.replay(space.seeds(conditions)[0].params, conditions).recipe
    published = Published("frozen", "", recipe.replace(freeze_batch_norm=True))
    assert space.adapted(published, conditions).changed == ("without freeze_batch_norm",)
