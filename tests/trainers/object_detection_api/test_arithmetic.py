"""Other arithmetic than the usual: bfloat16, and a step compiled by XLA, learn as float32 does."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.long


def losses_of(trainer, recipe, steps: int) -> list[float]:
    trainer.start(recipe)
    return trainer.train(steps).losses["total"]


def test_bfloat16_computes_the_network_alone_and_learns_as_float32_does(trainer, tiny_recipe, tmp_path):
    import tf_keras

    usual = losses_of(trainer, tiny_recipe, 10)
    recipe = tiny_recipe.replace(precision="bfloat16")
    short = losses_of(trainer, recipe, 10)
    assert short != usual
    # bfloat16 has eight significant bits
    np.testing.assert_allclose(short, usual, rtol=0.05)
    assert {variable.dtype.name for variable in trainer._graph.detector.trainable_variables} == {"float32"}
    assert "use_bfloat16: true" in trainer.files()["pipeline.config"]
    assert trainer.evaluate().losses["total"] > 0
    assert tf_keras.mixed_precision.global_policy().name == "float32"  # of all else in the process

    trainer.save(tmp_path / "checkpoint").result()
    trainer.start(recipe, tmp_path / "checkpoint")
    assert trainer.step == 10


def test_a_step_compiled_by_xla_has_the_losses_of_one_that_is_not(trainer, tiny_city, tiny_recipe):
    from trainers.object_detection_api.trainer import DetectorTrainer

    usual = losses_of(trainer, tiny_recipe, 3)
    np.testing.assert_allclose(
        losses_of(DetectorTrainer(tiny_city, xla=True), tiny_recipe, 3), usual, rtol=1e-3
    )
