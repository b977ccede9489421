"""The losses of FreeAnchor and PISA against plain numpy, and by the properties that their papers state."""

from __future__ import annotations

import numpy as np
import pytest
import reference_losses as reference

from trainers.object_detection_api import compat

pytestmark = pytest.mark.slow(10)


@pytest.fixture(scope="module", autouse=True)
def _api():
    compat.install()


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(5)


def boxes(draw: np.random.Generator, count: int) -> np.ndarray:
    corner = draw.uniform(0, 0.6, [count, 2])
    return np.concatenate([corner, corner + draw.uniform(0.1, 0.4, [count, 2])], 1).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_free_anchor_is_what_plain_numpy_makes_of_it(seed):
    import tensorflow as tf

    from trainers.object_detection_api.pyramid.heads.losses import bag_likelihood

    draw = np.random.default_rng(seed)
    objects, anchors = boxes(draw, 3), boxes(draw, 12)
    predicted = anchors + draw.normal(0, 0.02, anchors.shape).astype(np.float32)
    predicted[:2] = objects[:2] + 0.01
    logits = draw.normal(-1, 1, [12, 2]).astype(np.float32)
    codes = draw.normal(0, 0.5, [12, 4]).astype(np.float32)
    classes = np.array([0, 1, 1])
    one_hot, overlaps = np.eye(2, dtype=np.float32)[classes], np.array(
        [[reference.iou(box, each) for each in predicted] for box in objects], np.float32
    )  # fmt: skip
    of_bags, of_background = reference.free_anchor(logits, codes, predicted, anchors, objects, classes, bag=4)
    log_probabilities = []
    for box, c in zip(objects, classes, strict=True):
        bag = np.argsort([reference.iou(box, anchor) for anchor in anchors])[::-1][:4]
        differences = np.array([codes[a] - reference.code(box, anchors[a]) for a in bag], np.float32)
        of_boxes = tf.reduce_sum(bag_likelihood.smooth_l1(differences), -1)
        log_probabilities.append(tf.math.log_sigmoid(logits[bag, c]) - bag_likelihood.BOX_WEIGHT * of_boxes)
    found = tf.reduce_sum(bag_likelihood.bag_loss(tf.stack(log_probabilities)))
    assert float(found) == pytest.approx(of_bags, rel=1e-4)
    taken = bag_likelihood.taken_by_objects(tf.constant(overlaps), tf.constant(one_hot))
    found = bag_likelihood.background_loss(tf.constant(logits), taken)
    assert float(found) == pytest.approx(of_background, rel=1e-4)


def test_mean_max_is_near_the_mean_for_small_and_near_the_largest_for_large_probabilities():
    import tensorflow as tf

    from trainers.object_detection_api.pyramid.heads.losses.bag_likelihood import ALPHA, bag_loss

    def mean_max(values: list[float]) -> float:
        return float(tf.exp(-bag_loss(tf.math.log(tf.constant([values]))) / ALPHA)[0])

    assert mean_max([0.01, 0.02, 0.03]) == pytest.approx(0.02, rel=0.02)
    assert mean_max([0.01, 0.02, 0.9999]) == pytest.approx(0.9999, abs=0.001)


def test_a_bag_of_hopeless_anchors_has_a_finite_loss_and_a_gradient():
    import tensorflow as tf

    from trainers.object_detection_api.pyramid.heads.losses.bag_likelihood import bag_loss

    hopeless = tf.Variable([[-90.0, -95.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(bag_loss(hopeless))
    assert 40 < float(loss) < 60
    assert np.all(tape.gradient(loss, hopeless).numpy() < 0)


def test_an_anchor_that_localises_an_object_is_no_background(draw):
    import tensorflow as tf

    from trainers.object_detection_api.pyramid.heads.losses.bag_likelihood import (
        background_loss,
        taken_by_objects,
    )

    overlaps = tf.constant([[0.9, 0.75, 0.6, 0.1]])
    taken = taken_by_objects(overlaps, tf.constant([[0.0, 1.0]]))
    np.testing.assert_allclose(taken[:, 1], [1.0, 0.5, 0.0, 0.0], atol=1e-5)
    np.testing.assert_array_equal(taken[:, 0], 0.0)
    sure = tf.constant([[-9.0, 5.0]])
    assert float(background_loss(sure, tf.constant([[0.0, 1.0]]))) < 1e-6
    assert float(background_loss(sure, tf.constant([[0.0, 0.0]]))) > 1


@pytest.mark.parametrize("seed", range(4))
def test_pisa_weighs_positive_anchors_as_plain_numpy_does_and_no_others(seed):
    import tensorflow as tf

    from trainers.object_detection_api.pyramid.heads.losses import prime_samples

    draw = np.random.default_rng(seed)
    count = 40
    positive = draw.uniform(size=count) < 0.6
    objects = draw.integers(0, 5, count)
    labels = np.array([0, 1, 1, 2, 0])[objects]
    overlaps, losses, scores = (draw.uniform(0.05, 1, count).astype(np.float32) for _ in range(3))
    found = prime_samples.prime_weights(
        tf.constant(overlaps), tf.constant(objects, tf.int32), tf.constant(labels, tf.int32),
        tf.constant(positive), tf.constant(losses), 3,
    )  # fmt: skip
    expected = reference.prime_weights(
        overlaps[positive], objects[positive], labels[positive], losses[positive]
    )
    np.testing.assert_allclose(found[positive], expected, rtol=1e-4)
    np.testing.assert_array_equal(found[~positive], 1.0)
    of_scores = prime_samples.score_weights(tf.constant(scores), tf.constant(positive))
    np.testing.assert_allclose(of_scores[positive], reference.score_weights(scores[positive]), rtol=1e-4)
    np.testing.assert_array_equal(of_scores[~positive], 0.0)


def test_of_an_objects_anchors_that_with_the_best_box_weighs_most_and_the_sum_of_the_losses_stays(draw):
    import tensorflow as tf

    from trainers.object_detection_api.pyramid.heads.losses.prime_samples import prime_weights

    losses = tf.constant([1.0, 2.0, 3.0, 4.0])
    weights = prime_weights(
        tf.constant([0.3, 0.9, 0.6, 0.2]), tf.constant([0, 0, 1, 7]), tf.constant([0, 0, 0, 0]),
        tf.constant([True, True, True, False]), losses, 1,
    )  # fmt: skip
    assert weights[1] > weights[2] > weights[0]  # the best of each object come first
    assert float(tf.reduce_sum(weights * losses)) == pytest.approx(10.0, rel=1e-5)


def test_without_an_object_nothing_is_divided_by_zero():
    import tensorflow as tf

    from trainers.object_detection_api.pyramid.heads.losses import prime_samples

    none = tf.zeros([6], tf.bool)
    zeros = tf.zeros([6], tf.int32)
    weights = prime_samples.prime_weights(tf.zeros([6]), zeros, zeros, none, tf.ones([6]), 2)
    np.testing.assert_array_equal(weights, 1.0)
    np.testing.assert_array_equal(prime_samples.score_weights(tf.ones([6]), none), 0.0)


def test_the_gradient_of_the_score_weighted_box_loss_raises_the_score_of_better_boxes():
    import tensorflow as tf

    from trainers.object_detection_api.pyramid.heads.losses.prime_samples import score_weights

    scores, of_boxes = tf.Variable([0.5, 0.5]), tf.constant([0.1, 0.9])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(score_weights(scores, tf.constant([True, True])) * of_boxes)
    better, worse = tape.gradient(loss, scores).numpy()
    assert better < 0 < worse
