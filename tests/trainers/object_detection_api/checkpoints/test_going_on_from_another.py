"""A trial that begins from the checkpoint of another one, as population based training has them."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.errors import UserError

pytestmark = pytest.mark.slow(60)

MOMENTUM = {"kind": "momentum", "momentum": 0.9}, {"kind": "momentum", "momentum": 0.5}
RMS_PROP = (
    {"kind": "rms_prop", "momentum": 0.9, "decay": 0.9, "epsilon": 1.0},
    {"kind": "rms_prop", "momentum": 0.8, "decay": 0.95, "epsilon": 0.1},
)


def saved(trainer, recipe, step: int, folder):
    trainer.start(recipe)
    trainer.train(step)
    trainer.save(folder).result()
    return folder


def test_it_has_the_others_weights_and_optimizer_and_its_own_recipe(trainer, tiny_recipe, tmp_path):
    other = tiny_recipe.replace(averaging=0.9)
    checkpoint = saved(trainer, other, 5, tmp_path / "checkpoint-5")
    straight = trainer.train(8).losses["total"]
    trainer.start(other, checkpoint, other)
    np.testing.assert_allclose(trainer.train(8).losses["total"], straight, rtol=1e-4)

    changed = other.replace(schedule={"kind": "constant", "base": 0.004}, l2=0.001, averaging=0.95)
    trainer.start(changed, checkpoint, other)
    assert trainer.step == 5
    curve = trainer.train(8)
    assert curve.learning_rates == [0.004] * 3
    assert curve.losses["total"][0] > straight[0]  # the same weights and images; its own l2 is added
    np.testing.assert_allclose(
        curve.losses["classification"][0], trainer_loss(trainer, other, checkpoint), rtol=1e-4
    )


def trainer_loss(trainer, recipe, checkpoint) -> float:
    """The classification loss of the step after a checkpoint."""
    trainer.start(recipe, checkpoint)
    return trainer.train(trainer.step + 1).losses["classification"][0]


@pytest.mark.parametrize(("theirs", "own"), [MOMENTUM, RMS_PROP], ids=["momentum", "rms_prop"])
def test_the_optimizer_has_the_settings_of_its_own_recipe_which_the_checkpoint_has_too(
    trainer, tiny_recipe, tmp_path, theirs, own
):
    other, changed = tiny_recipe.replace(optimizer=theirs), tiny_recipe.replace(optimizer=own)
    checkpoint = saved(trainer, other, 3, tmp_path / "checkpoint-3")
    trainer.start(changed, checkpoint, other)
    trainer.train(4)
    update = trainer._graph.update(changed.optimizer)
    assert float(update.optimizer.momentum) == pytest.approx(own["momentum"])
    assert int(update.optimizer.iterations) == 4
    if "decay" in own:
        assert float(update.optimizer.rho) == pytest.approx(own["decay"])
        assert float(update._epsilon) == pytest.approx(own["epsilon"])


def test_its_own_checkpoint_is_its_own_from_then_on(trainer, tiny_recipe, tmp_path):
    changed = tiny_recipe.replace(schedule={"kind": "constant", "base": 0.004})
    checkpoint = saved(trainer, tiny_recipe, 3, tmp_path / "checkpoint-3")
    with pytest.raises(UserError, match="is a checkpoint of recipe"):
        trainer.start(changed, checkpoint)
    with pytest.raises(UserError, match="is a checkpoint of recipe"):
        trainer.start(changed, checkpoint, changed)
    trainer.start(changed, checkpoint, tiny_recipe)
    trainer.train(5)
    trainer.save(tmp_path / "checkpoint-5").result()
    trainer.start(changed, tmp_path / "checkpoint-5")
    assert trainer.step == 5
