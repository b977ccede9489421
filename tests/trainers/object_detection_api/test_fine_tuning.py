"""A backbone learns at its own rate, later, or not at all; batch normalisation may keep its statistics."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.slow(20)


def values(trainer) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Those of the backbone's trained variables, and of the others."""
    graph = trainer._graph
    inside = {id(each) for each in graph.detector.architecture.backbone(graph.detector.model)}
    trained = graph.detector.trainable_variables
    split = [
        [each.numpy() for each in trained if (id(each) in inside) is backbone] for backbone in (True, False)
    ]
    return split[0], split[1]


def moved(before: list[np.ndarray], after: list[np.ndarray]) -> float:
    return max(float(np.abs(one - other).max()) for one, other in zip(before, after, strict=True))


def test_a_frozen_backbone_stays_and_the_rest_learns(trainer, tiny_recipe):
    trainer.start(tiny_recipe.replace(backbone_rate=0.0))
    backbone, rest = values(trainer)
    trainer.train(2)
    assert moved(backbone, values(trainer)[0]) == 0
    assert moved(rest, values(trainer)[1]) > 0


def test_it_thaws_at_its_step_in_a_trial_that_is_resumed_too(trainer, tiny_recipe, tmp_path):
    recipe = tiny_recipe.replace(backbone_frozen=0.15)
    assert recipe.thaws_at == 3
    trainer.start(recipe)
    backbone, _ = values(trainer)
    trainer.train(3)
    assert moved(backbone, values(trainer)[0]) == 0
    trainer.save(tmp_path / "checkpoint").result()
    straight = trainer.train(6).losses["total"]
    assert moved(backbone, values(trainer)[0]) > 0
    trainer.start(tiny_recipe)  # the worker does something else in between
    trainer.start(recipe, tmp_path / "checkpoint")
    np.testing.assert_allclose(trainer.train(6).losses["total"], straight, rtol=1e-4)


def test_its_rate_is_a_fraction_of_the_others(trainer, tiny_recipe):
    steps = []
    for rate in (1.0, 0.25):
        trainer.start(tiny_recipe.replace(backbone_rate=rate, l2=0.0))
        before = values(trainer)
        trainer.train(1)
        steps.append([after - b for b, after in zip(before[0], values(trainer)[0], strict=True)])
    for whole, part in zip(*steps, strict=True):
        np.testing.assert_allclose(part, 0.25 * whole, rtol=1e-3, atol=1e-6)


def test_frozen_batch_norm_has_no_statistics_to_estimate(tiny_recipe):
    from trainers.object_detection_api import compat

    compat.install()
    from trainers.keras_training.batch_norm.statistics import Statistics
    from trainers.object_detection_api.model import DetectionModel
    from trainers.object_detection_api.pipeline_config import model_proto

    recipe = tiny_recipe.replace(freeze_batch_norm=True)
    built = DetectionModel(model_proto(recipe, 1), recipe.image_size)
    assert built.batch_norm_layers == []
    with Statistics(built.batch_norm_layers, lambda batch: None).in_place([]):
        pass
