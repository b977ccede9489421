"""`python -m tuning.ablate`: each choice of the winner put back to the default; right on a planted case."""

from __future__ import annotations

import dataclasses

import pytest

import search_spaces
from search_spaces.conditions import Conditions
from trainers.errors import UserError
from tuning.api.ablation import variants as ablation

SPACE, CONDITIONS = search_spaces.get("retinanet_family"), Conditions(steps=90)
DEFAULT = SPACE.seeds(CONDITIONS)[0].params


def winner(**changes):
    """The default's parameters with others, and what these bring."""
    brought = {"pathways": 5} if changes.get("neck") == "fpg" else {}
    brought |= {"drop_path": 0.2} if str(changes.get("backbone")).startswith("convnext") else {}
    params = {**DEFAULT, **brought, **changes}
    if changes.get("head") == "free_anchor":
        del params["box_loss"]
    return params


def test_each_choice_that_differs_is_put_back_alone_and_brings_what_the_default_has():
    params = winner(backbone="convnext_tiny", neck="fpg", head="free_anchor")
    made = ablation.variants(SPACE, CONDITIONS, params)
    assert [variant.name for variant in made] == ["winner", "backbone", "neck", "head"]
    best, backbone, neck, head = (variant.recipe for variant in made)
    assert (best.backbone, best.neck, best.head, best.drop_path) == (
        "convnext_tiny",
        "fpg",
        "free_anchor",
        0.2,
    )
    assert (backbone.backbone, backbone.neck, backbone.head) == ("resnet50", "fpg", "free_anchor")
    assert backbone.drop_path == 0  # of a backbone that is gone
    assert (neck.backbone, neck.neck, neck.head) == ("convnext_tiny", "fpn", "free_anchor")
    assert (head.head, head.box_loss) == ("retina", DEFAULT["box_loss"])
    assert made[1].change == "backbone convnext_tiny → resnet50"


def test_numbers_stay_as_the_winner_has_them():
    rate = next(name for name in DEFAULT if name.endswith("learning_rate"))
    params = winner(neck="fpg") | {rate: 0.0013}
    assert [variant.recipe.schedule.base for variant in ablation.variants(SPACE, CONDITIONS, params)] == [
        0.0013
    ] * 2


def test_a_default_that_the_search_left_out_is_put_back_too():
    params, only = winner(backbone="mobilenet_v2"), (("backbone", ("mobilenet_v2",)),)
    made = ablation.variants(SPACE, dataclasses.replace(CONDITIONS, only=only), params)
    assert [variant.recipe.backbone for variant in made] == ["mobilenet_v2", "resnet50"]


def test_the_default_itself_leaves_nothing_to_ablate():
    assert len(ablation.variants(SPACE, CONDITIONS, DEFAULT)) == 1


@dataclasses.dataclass(frozen=True)
class Nothing:
    folder: str = "studies/street"
    records: tuple = ()


def test_a_study_without_a_result_is_refused_in_one_line():
    with pytest.raises(
        UserError, match=r"^studies/street: no trial has been measured yet; there is nothing to ablate$"
    ):
        ablation.winner(Nothing())
