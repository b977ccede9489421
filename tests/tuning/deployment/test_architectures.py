"""Which networks a space may propose."""

from __future__ import annotations

import optuna
import pytest

import search_spaces
from search_spaces.conditions import Conditions
from trainers.recipe import architecture
from tuning.api.deployment.architectures import architectures


@pytest.mark.parametrize("name", search_spaces.names())
def test_every_proposal_has_one_of_the_networks_that_are_listed(name):
    space, conditions = search_spaces.get(name), Conditions(steps=90)
    listed = [each.architecture.fields for each in architectures(space, conditions)]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    proposed = [architecture(space.suggest(study.ask(), conditions).to_dict()) for _ in range(8)]
    assert all(fields in listed for fields in proposed)
    assert all(listed.count(fields) == 1 for fields in listed)


@pytest.mark.parametrize("name", search_spaces.names())
def test_the_choices_of_a_network_lead_to_it(name):
    space, conditions = search_spaces.get(name), Conditions(steps=90)
    for each in architectures(space, conditions)[:10]:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
        study.enqueue_trial(dict(each.architecture.choices))
        assert architecture(space.suggest(study.ask(), conditions).to_dict()) == each.architecture.fields


def test_what_only_training_needs_makes_no_other_network():
    family = architectures(search_spaces.get("retinanet_family"), Conditions(steps=90))
    assert not {"head", "box_loss", "batch_size"} & family[0].architecture.fields.keys()
