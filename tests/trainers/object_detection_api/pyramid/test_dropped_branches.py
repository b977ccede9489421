"""Drop path belongs to training steps: evaluation and its estimate of batch normalisation have all branches."""

from __future__ import annotations

import numpy as np
import pytest

from trainers import recipe as recipes
from trainers.object_detection_api.pyramid.backbones import BACKBONES

SMALL = {
    "model": "retinanet_family", "backbone": "convnext_tiny", "channels": 16, "levels": 3, "drop_path": 0.6,
    "image_size": 64, "batch_size": 2, "steps": 10, "optimizer": {"kind": "adamw"},
    "schedule": {"kind": "constant", "base": 1e-4}, "augmentations": [], "batch_norm_decay": 0.9,
}  # fmt: skip


@pytest.mark.slow(20)
def test_the_statistics_for_evaluation_do_not_depend_on_what_the_last_step_dropped(monkeypatch):
    from trainers.object_detection_api import compat

    compat.install()
    import tensorflow as tf

    from trainers.object_detection_api.graph import blank_batch
    from trainers.object_detection_api.graphs import Graphs

    settings = BACKBONES["convnext_tiny"].settings
    monkeypatch.setitem(settings, "blocks", (1, 1, 1, 1))
    monkeypatch.setitem(settings, "widths", (8, 8, 8, 8))
    recipe = recipes.build(SMALL)
    graph = Graphs().of(recipe, 3, 4, False)
    detector = graph.detector
    detector.initialize(seed=1)
    for variable in detector.variables:
        if "layer_scale" in variable.name:
            variable.assign(tf.ones_like(variable))  # a new network's branches are too small to be seen
    batch = blank_batch(2, 64, 3, 4) | {"image": tf.random.stateless_normal([2, 64, 64, 3], [1, 2])}

    def statistics() -> list[np.ndarray]:
        with graph.statistics.in_place([batch]):
            return [layer.moving_mean.numpy() for layer in detector.batch_norm_layers]

    before = statistics()  # as in a process that has not trained
    for step in range(3):
        graph.begin_step(batch, recipe, step)
        np.testing.assert_array_equal(np.concatenate(statistics()), np.concatenate(before))
