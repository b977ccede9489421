"""Initial values are drawn from the seed, as the model's builder says; residual branches of ResNets begin as 0."""

from __future__ import annotations

import numpy as np
import pytest

from trainers import model as models
from trainers import recipe as recipes


@pytest.fixture(scope="module", params=["retinanet", "retinanet_family"])
def model(request):
    from trainers.object_detection_api import compat, pipeline_config

    compat.install()
    from trainers.object_detection_api.model import DetectionModel

    preset = models.get(request.param).presets["laptop"]
    recipe = recipes.build({"model": request.param, **preset})
    made = DetectionModel(pipeline_config.model_proto(recipe, 3), recipe.image_size)
    made.initialize(1)
    return made


@pytest.mark.slow(15)
def test_each_residual_block_begins_as_the_identity(model):
    scales = {each.name: each.numpy() for each in model.variables if each.name.endswith("gamma:0")}
    zero = {name for name, values in scales.items() if not values.any()}
    assert len(zero) == 3 + 4 + 6 + 3
    assert all("_3_bn/" in name for name in zero)
    assert all((values == 1).all() for name, values in scales.items() if name not in zero)


@pytest.mark.slow(1)
def test_the_same_seed_gives_the_same_values_and_another_gives_others(model):
    kernels = [each for each in model.trainable_variables if each.name.endswith("kernel:0")]
    first = [each.numpy() for each in kernels]
    model.initialize(2)
    assert all(np.abs(each.numpy() - before).max() > 0 for each, before in zip(kernels, first, strict=True))
    model.initialize(1)
    for each, before in zip(kernels, first, strict=True):
        np.testing.assert_array_equal(each.numpy(), before)
