"""A trainer of other images finds the graph that one before it in the same process has built."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest


def losses_of(trainer, recipe, steps: int) -> list[float]:
    trainer.start(recipe)
    return trainer.train(steps).losses["total"]


@pytest.mark.slow(60)
def test_trainers_of_other_images_of_the_same_classes_share_a_graph(trainer, tiny_recipe, tiny_city):
    from trainers.object_detection_api.trainer import DetectorTrainer

    fewer = dataclasses.replace(tiny_city, validation=dataclasses.replace(tiny_city.validation, images=4))
    before = losses_of(trainer, tiny_recipe, 4)
    other = DetectorTrainer(fewer, graphs=trainer._graphs)
    losses = losses_of(other, tiny_recipe, 4)
    assert other._graph is trainer._graph
    np.testing.assert_allclose(losses, before, rtol=1e-4)
    assert other.evaluate().images == 4
    assert losses_of(trainer, tiny_recipe, 4) == pytest.approx(before, rel=1e-4)


def test_a_graph_is_of_its_recipe_its_classes_and_its_room_for_boxes(tiny_recipe, monkeypatch):
    from trainers.object_detection_api import compat

    compat.install()
    from trainers.object_detection_api import graphs as module

    built = []
    monkeypatch.setattr(module, "Graph", lambda model, *rest: built.append(model.ssd.num_classes) or object())
    graphs = module.Graphs(most=9)
    first = graphs.of(tiny_recipe, 3, 100, False)
    assert graphs.of(tiny_recipe.replace(seed=9, steps=70, l2=0.01), 3, 100, False) is first
    for classes, boxes, xla in ((1, 100, False), (3, 200, False), (3, 100, True)):
        assert graphs.of(tiny_recipe, classes, boxes, xla) is not first
    assert graphs.of(tiny_recipe.replace(image_size=192), 3, 100, False) is not first
    assert built == [3, 1, 3, 3, 3]


@pytest.mark.slow(60)
def test_the_augmentations_of_a_trial_that_goes_on_where_it_was_are_traced_once(
    trainer, tiny_recipe, monkeypatch
):
    from trainers.object_detection_api.input_pipeline import augmentation_builder, batches

    built = []
    build = augmentation_builder.build
    monkeypatch.setattr(augmentation_builder, "build", lambda step: built.append(step) or build(step))
    monkeypatch.setattr(batches, "MOST_AUGMENTED", 2)
    flips = [
        tiny_recipe.replace(
            augmentations=[{"name": "random_horizontal_flip", "options": {"probability": share}}]
        )
        for share in (0.31, 0.32, 0.33)
    ]
    first = losses_of(trainer, flips[0], 2)
    losses_of(trainer, flips[1], 1)
    assert losses_of(trainer, flips[0], 2) == pytest.approx(first, rel=1e-4)
    assert len(built) == 2
    losses_of(trainer, flips[2], 1)
    losses_of(trainer, flips[0], 1)
    assert len(built) == 3
    losses_of(trainer, flips[1], 1)  # that which was used longest ago was given up
    assert len(built) == 4
