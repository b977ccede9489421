"""The recipe of `fcn`: shapes that no network has are refused, and recipes of earlier versions keep their ids."""

import pytest

from trainers import model as models
from trainers import recipe as recipes
from trainers.errors import UserError

FIELDS = {"model": "fcn", **models.get("fcn").presets["laptop"]}


def test_the_decoder_has_a_block():
    assert recipes.build({**FIELDS, "depth": 3, "decoder_output_stride": 4}).decoder_output_stride == 4
    with pytest.raises(UserError, match="decoder_output_stride 4 needs a depth of at least 3, not 2"):
        recipes.build({**FIELDS, "depth": 2, "decoder_output_stride": 4})


def test_a_recipe_from_before_the_decoders_stride_has_full_resolution_and_its_id():
    before = {name: value for name, value in FIELDS.items() if name != "decoder_output_stride"}
    made = recipes.build(before)
    assert made.decoder_output_stride == 1
    assert "decoder_output_stride" not in made.identity()
    assert made.recipe_id != recipes.build(FIELDS).recipe_id


def test_a_recipe_from_before_flip_test_has_none_and_its_id():
    made = recipes.build({name: value for name, value in FIELDS.items() if name != "flip_test"})
    assert not made.flip_test
    assert "flip_test" not in made.identity()


def test_a_step_costs_in_proportion_to_the_filters_and_less_at_half_the_resolution():
    cost = models.get("fcn").relative_cost
    assert cost(FIELDS | {"filters": 32}) == 2 * cost(FIELDS | {"filters": 16}) == pytest.approx(2)
    assert cost(FIELDS | {"filters": 16, "decoder_output_stride": 1}) > 2
