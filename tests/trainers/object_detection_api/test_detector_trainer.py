"""The Trainer contract, kept by DetectorTrainer."""

from __future__ import annotations

import errno
import gc
import math
import resource
import signal
import weakref

import numpy as np
import pytest

from trainers.detection import coco_metrics
from trainers.errors import Diverged, UserError

pytestmark = pytest.mark.slow(180)


@pytest.fixture(scope="module")
def other_trainer(tiny_city):
    """A DetectorTrainer that has room for one graph."""
    from trainers.object_detection_api.graphs import Graphs
    from trainers.object_detection_api.trainer import DetectorTrainer

    return DetectorTrainer(tiny_city, graphs=Graphs(most=1))


def losses_of(trainer, recipe, steps: int) -> list[float]:
    trainer.start(recipe)
    return trainer.train(steps).losses["total"]


def test_a_warm_trial_has_the_losses_of_a_cold_one(trainer, other_trainer, tiny_recipe):
    other = tiny_recipe.replace(
        optimizer={"kind": "adam"}, schedule={"kind": "constant", "base": 0.001}, augmentations=[], l2=0.001,
        classification_weight=2.0, averaging=0.9, gradient_clip=1.0, seed=99,
    )  # fmt: skip
    losses_of(trainer, other, 3)
    trainer.evaluate()
    warm = losses_of(trainer, tiny_recipe, 20)
    cold = losses_of(other_trainer, tiny_recipe, 20)

    np.testing.assert_allclose(warm, cold, rtol=1e-4)


def test_a_trial_that_is_stopped_and_loaded_goes_on_with_the_same_losses(trainer, tiny_recipe, tmp_path):
    recipe = tiny_recipe.replace(averaging=0.9)
    straight = losses_of(trainer, recipe, 12)
    losses_of(trainer, recipe, 7)
    trainer.save(tmp_path / "checkpoint").result()
    losses_of(trainer, tiny_recipe.replace(seed=1), 2)  # the worker does something else in between

    trainer.start(recipe, tmp_path / "checkpoint")
    assert trainer.step == 7
    np.testing.assert_allclose(trainer.train(12).losses["total"], straight[7:], rtol=1e-4)


def test_a_checkpoint_is_of_the_moment_at_which_it_was_asked_for(trainer, tiny_recipe, tmp_path):
    recipe = tiny_recipe.replace(averaging=0.9, optimizer={"kind": "adam"})
    straight = losses_of(trainer, recipe, 9)
    losses_of(trainer, recipe, 5)
    written = trainer.save(tmp_path / "checkpoint")
    trainer.evaluate()  # which puts averages and new statistics in the place of what was saved
    trainer.train(7)
    written.result()
    trainer.start(recipe, tmp_path / "checkpoint")
    np.testing.assert_allclose(trainer.train(9).losses["total"], straight[5:], rtol=1e-4)


def test_a_checkpoint_is_one_that_tensorflow_itself_reads_and_writes(trainer, tiny_recipe, tmp_path):
    import tensorflow as tf

    recipe = tiny_recipe.replace(averaging=0.9)
    losses_of(trainer, recipe, 2)
    trainer.save(tmp_path / "checkpoint").result()
    graph = trainer._graph
    usual = tf.train.Checkpoint(
        model=graph.detector.model,
        optimizer=graph.update(recipe.optimizer).optimizer,
        averaging=graph.averaging,
    )
    usual.read(str(tmp_path / "checkpoint" / "ckpt")).assert_consumed()
    ours, theirs = (
        tf.train.load_checkpoint(prefix)
        for prefix in (str(tmp_path / "checkpoint" / "ckpt"), usual.write(str(tmp_path / "usual")))
    )
    assert ours.get_variable_to_shape_map() == theirs.get_variable_to_shape_map()
    for name in ours.get_variable_to_shape_map():
        np.testing.assert_array_equal(ours.get_tensor(name), theirs.get_tensor(name))


def test_a_checkpoint_of_another_recipe_is_refused(trainer, tiny_recipe, tmp_path):
    losses_of(trainer, tiny_recipe, 1)
    trainer.save(tmp_path / "checkpoint").result()
    with pytest.raises(UserError, match="is a checkpoint of recipe"):
        trainer.start(tiny_recipe.replace(seed=8), tmp_path / "checkpoint")


def test_a_checkpoint_that_the_disk_does_not_take_is_an_error_of_the_disk_and_leaves_nothing(
    trainer, tiny_recipe, tmp_path
):
    trainer.start(tiny_recipe)
    # a limit on the size of files stands in for a full disk: it is the kernel that refuses to write on
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            trainer.save(tmp_path / "checkpoint").result()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert caught.value.errno == errno.EFBIG  # ENOSPC for a disk that is full
    assert not list(tmp_path.iterdir())


def test_training_reports_every_step(trainer, tiny_recipe):
    trainer.start(tiny_recipe)
    curve = trainer.train(3)
    assert curve.steps == [1, 2, 3]
    assert set(curve.losses) == {"classification", "localization", "regularization", "total"}
    parts = [curve.losses[name][0] for name in ("classification", "localization", "regularization")]
    assert curve.losses["total"][0] == pytest.approx(sum(parts), rel=1e-5)
    assert curve.learning_rates == [tiny_recipe.learning_rate(step) for step in range(3)]
    assert 0 < curve.compute_seconds <= curve.seconds


def test_evaluation_gives_the_twelve_numbers_and_every_class(trainer, tiny_recipe, tiny_city):
    trainer.start(tiny_recipe)
    metrics = trainer.evaluate()
    assert list(metrics.values) == [
        *coco_metrics.COCO_NAMES, *(f"AP/{name}" for name in tiny_city.classes)
    ]  # fmt: skip
    assert metrics.images == tiny_city.validation.images
    assert all(math.isfinite(loss) for loss in metrics.losses.values())
    assert metrics.losses == trainer.evaluate().losses
    assert coco_metrics.evaluate(metrics.results, tiny_city.classes) == metrics.values


def test_evaluation_estimates_batch_norms_statistics_anew_and_leaves_those_of_training(trainer, tiny_recipe):
    losses_of(trainer, tiny_recipe, 2)
    moving = [
        variable
        for layer in trainer._graph.detector.batch_norm_layers
        for variable in (layer.moving_mean, layer.moving_variance)
    ]
    evaluated = trainer.evaluate()
    for variable in moving:
        variable.assign(variable + 1.0)  # as if they had lagged behind
    left = [variable.numpy() for variable in moving]
    assert trainer.evaluate().losses == pytest.approx(evaluated.losses, rel=1e-4)
    for variable, before in zip(moving, left, strict=True):
        np.testing.assert_array_equal(variable.numpy(), before)


def test_evaluation_on_a_part_of_the_images_is_the_same_each_time(trainer, tiny_recipe, tiny_city):
    trainer.start(tiny_recipe)
    part = trainer.evaluate(images=3)
    assert part.images == 3
    assert not part.results
    assert trainer.evaluate(images=3).losses == part.losses
    assert part.losses != trainer.evaluate().losses
    assert trainer.evaluate(images=10**6).images == tiny_city.validation.images


def test_a_part_of_the_validation_images_is_spread_evenly(trainer, tiny_city, tiny_recipe):
    trainer.start(tiny_recipe)

    def shown(images: int) -> list[bytes]:
        return [
            image.tobytes()
            for batch in trainer._validation_batches(images)
            for image, real in zip(batch["image"].numpy(), batch["real"].numpy(), strict=True)
            if real
        ]

    count = tiny_city.validation.images
    everything = shown(count)
    assert len(everything) == count
    for wanted in range(1, count):
        places = [everything.index(image) for image in shown(wanted)]
        assert len(places) == wanted
        gaps = {after - before for before, after in zip([-1, *places], places, strict=False)}
        assert max(gaps) - min(gaps) <= 1


def test_nothing_holds_a_graph_that_made_room_for_another(other_trainer, tiny_recipe):
    losses_of(other_trainer, tiny_recipe, 1)
    other_trainer.evaluate(images=1)
    before = weakref.ref(other_trainer._graph)
    other_trainer.start(tiny_recipe.replace(batch_size=3))
    gc.collect()
    assert before() is None


def test_a_checkpoint_is_evaluated_without_a_training_step_and_training_goes_on_from_it(
    trainer, other_trainer, tiny_recipe, tmp_path
):
    recipe = tiny_recipe.replace(averaging=0.9)
    losses_of(trainer, recipe, 3)
    trainer.save(tmp_path / "checkpoint").result()
    evaluated, further = trainer.evaluate(), trainer.train(6)

    other_trainer.start(tiny_recipe.replace(batch_size=3))  # so that the next start builds its graph
    other_trainer.start(recipe, tmp_path / "checkpoint")
    again = other_trainer.evaluate()
    assert other_trainer._graph._gradients.experimental_get_tracing_count() == 0
    assert again.values == pytest.approx(evaluated.values, abs=1e-4)
    assert again.losses == pytest.approx(evaluated.losses, rel=1e-4)
    np.testing.assert_allclose(other_trainer.train(6).losses["total"], further.losses["total"], rtol=1e-4)


def test_an_infinite_loss_ends_the_trial_and_says_at_which_step(trainer, tiny_recipe):
    trainer.start(tiny_recipe.replace(schedule={"kind": "constant", "base": 10.0}))
    with pytest.raises(Diverged, match=r"loss is (nan|inf) at step \d+"):
        trainer.train(20)


@pytest.mark.parametrize("optimizer", ["momentum", "adam", "rms_prop"])
def test_every_optimizer_lowers_the_loss_and_forgets_the_trial_before(trainer, tiny_recipe, optimizer):
    rate = {"momentum": 0.02, "adam": 0.002, "rms_prop": 0.01}[optimizer]
    recipe = tiny_recipe.replace(optimizer={"kind": optimizer}, schedule={"kind": "constant", "base": rate})
    first = losses_of(trainer, recipe, 12)
    # the same batches without learning
    still = losses_of(trainer, recipe.replace(schedule={"kind": "constant", "base": 1e-12}), 12)
    assert np.mean(first[-4:]) < np.mean(still[-4:])
    np.testing.assert_allclose(losses_of(trainer, recipe, 6), first[:6], rtol=1e-4)


def test_clipping_and_loss_weights_and_l2_change_what_they_say(trainer, tiny_recipe):
    trainer.start(tiny_recipe)
    plain = trainer.train(1).losses
    trainer.start(tiny_recipe.replace(classification_weight=3.0, localization_weight=0.5, l2=4e-4))
    weighted = trainer.train(1).losses
    for part, factor in (("classification", 3.0), ("localization", 0.5), ("regularization", 10.0)):
        assert weighted[part][0] == pytest.approx(factor * plain[part][0], rel=1e-3)

    unclipped = losses_of(trainer, tiny_recipe, 3)
    clipped = losses_of(trainer, tiny_recipe.replace(gradient_clip=1e-6), 3)
    assert clipped[0] == pytest.approx(unclipped[0])
    assert clipped[2] != pytest.approx(unclipped[2], rel=1e-6)


def test_evaluation_uses_the_averaged_weights_and_training_goes_on_with_its_own(trainer, tiny_recipe):
    averaged = tiny_recipe.replace(averaging=0.999)
    straight = losses_of(trainer, averaged, 6)
    trainer.start(averaged)
    trainer.train(3)
    of_averages = trainer.evaluate().losses["classification"]
    np.testing.assert_allclose(trainer.train(6).losses["total"], straight[3:], rtol=1e-4)

    trainer.start(tiny_recipe)
    trainer.train(3)
    assert of_averages != pytest.approx(trainer.evaluate().losses["classification"], rel=1e-6)


@pytest.mark.parametrize("part", ["classification", "detection", "full"])
def test_fine_tuning_takes_the_part_of_a_checkpoint_that_it_names(trainer, tiny_recipe, tmp_path, part):
    losses_of(trainer, tiny_recipe, 3)
    trainer.save(tmp_path / "zoo" / "checkpoint").result()
    trained = {v.name: v.numpy() for v in trainer._graph.detector.variables}

    trainer.start(tiny_recipe.replace(seed=1, weights={"source": str(tmp_path / "zoo"), "part": part}))
    taken = {
        v.name for v in trainer._graph.detector.variables
        if v.shape.rank > 1 and np.array_equal(v.numpy(), trained[v.name])
    }  # fmt: skip
    kernels = {v.name for v in trainer._graph.detector.variables if v.shape.rank > 1}
    pyramid = {name for name in kernels if "FeatureMaps" in name or "bottom_up" in name}
    heads = {name for name in kernels if "BoxPredictor" in name}
    expected = {
        "classification": kernels - pyramid - heads, "detection": kernels - heads, "full": kernels,
    }[part]  # fmt: skip
    assert taken == expected


def test_weights_that_do_not_fit_are_refused_in_one_line(trainer, tiny_recipe, tmp_path):
    import tensorflow as tf

    tf.train.Checkpoint(model=tf.train.Checkpoint(other=tf.Variable(1.0))).write(str(tmp_path / "ckpt-0"))
    with pytest.raises(UserError, match="does not fit the model") as error:
        trainer.start(tiny_recipe.replace(weights={"source": str(tmp_path), "part": "full"}))
    assert "\n" not in str(error.value)
