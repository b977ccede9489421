"""Every detector that is registered takes steps with its laptop recipe, and each changes the weights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trainers import model as models
from trainers import recipe as recipes

DETECTORS = [
    name
    for name, model in models.all_models().items()
    if model.trainer.startswith("trainers.object_detection_api")
]


@pytest.mark.parametrize(
    "name",
    [
        # in every run the one whose backbone has variables that no loss depends on; the others take minutes
        pytest.param(name, marks=pytest.mark.slow(60) if name == "efficientdet" else pytest.mark.long)
        for name in DETECTORS
    ],
)
def test_its_steps_have_finite_losses_and_move_its_weights(name, tiny_city):
    from trainers.object_detection_api import compat

    compat.install()
    from trainers.object_detection_api.graphs import Graphs
    from trainers.object_detection_api.trainer import DetectorTrainer

    model = models.get(name)
    recipe = recipes.build({"model": name, **model.presets["laptop"]}).replace(
        image_size=model.min_image_size, batch_size=2, augmentations=[]
    )
    trainer = DetectorTrainer(tiny_city, graphs=Graphs())
    trainer.start(recipe)
    before = [variable.numpy() for variable in trainer._graph.detector.model.trainable_variables]
    losses = trainer.train(2).losses["total"]
    assert all(map(math.isfinite, losses))
    after = trainer._graph.detector.model.trainable_variables
    moved = [not np.array_equal(old, new.numpy()) for old, new in zip(before, after, strict=True)]
    assert sum(moved) > 0.8 * len(moved)
