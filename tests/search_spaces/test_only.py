"""`--only` leaves some choices of a space's categorical parameters."""

import optuna
import pytest

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.parts.restriction import parse
from trainers.errors import UserError


def test_what_is_not_left_is_never_suggested_and_no_first_trial_has_it():
    space = search_spaces.get("retinanet_family")
    only = parse(["backbone=resnet50,convnext_tiny", "neck=fpn"])
    conditions = Conditions(steps=100, only=only)
    rows = {row.name: row for row in space.rows(conditions)}
    assert rows["backbone"].distribution.choices == ("resnet50", "convnext_tiny")
    assert "pathways" not in rows  # of a neck that is not left
    seeds = space.seeds(conditions)
    assert {seed.params["backbone"] for seed in seeds} == {"resnet50", "convnext_tiny"}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(20):
        made = space.suggest(study.ask(), conditions)
        assert made.backbone in ("resnet50", "convnext_tiny")
        assert made.neck == "fpn"
    assert space.hash(conditions) != space.hash(Conditions(steps=100))


def test_it_works_for_any_space():
    conditions = Conditions(steps=100, only=parse(["optimizer=adam", "flip=on"]))
    rows = {row.name: row for row in search_spaces.get("mobilenet").rows(conditions)}
    assert rows["optimizer"].distribution.choices == ("adam",)
    assert rows["flip"].distribution.choices == (True,)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["backbone"], "--only backbone: give a parameter and some of its choices, as in optimizer=adam,momentum"),
        (["backbone=a,"], "--only backbone=a,: give a parameter and some of its choices"),
        (["neck=fpn", "neck=fpg"], "--only neck=fpg: neck is given twice; separate its choices by commas"),
        (["neck=bifpn"], "--only: neck has no choice 'bifpn'; known are fpn, fpg"),
        (["nek=fpn"], "--only: the space has no choice called 'nek'; known are backbone, neck, head, "),
    ],
)  # fmt: skip
def test_what_there_is_not_is_refused_with_what_there_is(given, says):
    with pytest.raises(UserError) as refused:
        search_spaces.get("retinanet_family").rows(Conditions(steps=100, only=parse(given)))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
