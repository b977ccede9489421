"""The optimizers' steps against tf_keras' own and plain numpy; AdamW, and learning rates by variable."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.optimizers import Adam, AdamW, Momentum, RMSProp

pytestmark = pytest.mark.slow(10)
STEPS = 20


@pytest.fixture
def gradients() -> list[list[np.ndarray]]:
    draw = np.random.default_rng(3)
    return [[draw.normal(0, 1, shape).astype(np.float32) for shape in ((4, 3), (3,))] for _ in range(STEPS)]


@pytest.fixture
def variables():
    import tensorflow as tf

    draw = np.random.default_rng(4)
    return [tf.Variable(draw.normal(0, 1, shape).astype(np.float32)) for shape in ((4, 3), (3,))]


def update_of(settings, variables, factors=None, per_variable=True):
    from trainers.keras_training.optimizer import Update

    update = Update(settings, variables, per_variable)
    update.start(settings, factors)
    return update


@pytest.mark.parametrize("per_variable", [False, True])
@pytest.mark.parametrize(
    "settings",
    [Momentum(momentum=0.8), Adam(epsilon=1e-4), RMSProp(momentum=0.7, decay=0.8, epsilon=0.1)],
    ids=lambda each: each.kind,
)
def test_an_optimizer_takes_the_steps_of_keras_own(settings, per_variable, variables, gradients):
    import tensorflow as tf
    from tf_keras.optimizers import legacy

    theirs = {
        "momentum": lambda: legacy.SGD(0.01, momentum=0.8),
        "adam": lambda: legacy.Adam(0.01, epsilon=1e-4),
        "rms_prop": lambda: legacy.RMSprop(0.01, momentum=0.7, rho=0.8, epsilon=0.1),
    }[settings.kind]()
    reference = [tf.Variable(variable) for variable in variables]
    update = update_of(settings, variables, per_variable=per_variable)
    for each in gradients:
        theirs.apply_gradients(zip(map(tf.constant, each), reference, strict=True))
        update.apply(list(map(tf.constant, each)), 0.01, None)
    for one, other in zip(variables, reference, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    for one, other in zip(update.optimizer.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_adamw_equals_that_of_tf_keras_over_twenty_steps_and_decays_no_bias(variables, gradients):
    import tensorflow as tf
    import tf_keras

    reference = [tf.Variable(variable) for variable in variables]
    theirs = tf_keras.optimizers.AdamW(learning_rate=0.01, weight_decay=0.1, epsilon=1e-8)
    theirs.exclude_from_weight_decay(var_list=[reference[1]])
    update = update_of(AdamW(weight_decay=0.1, epsilon=1e-8), variables)
    for each in gradients:
        theirs.apply_gradients(zip(map(tf.constant, each), reference, strict=True))
        update.apply(list(map(tf.constant, each)), 0.01, None)
    for one, other in zip(variables, reference, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_adamw_is_algorithm_2_of_loshchilov_and_hutter_in_plain_numpy(variables, gradients):
    import tensorflow as tf

    rate, decay = 0.01, 0.1
    expected = []
    for place, variable in enumerate(variables):
        x, m, v = variable.numpy().astype(np.float64), 0.0, 0.0
        for step, each in enumerate(gradients, start=1):
            g = each[place]
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            x = x * (1 - rate * decay) if x.ndim > 1 else x
            x = x - rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        expected.append(x)
    update = update_of(AdamW(weight_decay=decay, epsilon=1e-8), variables)
    for each in gradients:
        update.apply(list(map(tf.constant, each)), rate, None)
    for one, other in zip(variables, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [Momentum(), Adam(), AdamW(), RMSProp()], ids=lambda each: each.kind)
def test_a_factor_of_a_variable_is_a_factor_of_its_learning_rate(settings, variables, gradients):
    import tensorflow as tf

    reference = [tf.Variable(variable) for variable in variables]
    plain = update_of(settings, reference)
    update = update_of(settings, variables, factors=[0.25, 0.0])
    before = variables[1].numpy()
    for each in gradients:
        plain.apply(list(map(tf.constant, each)), 0.25 * 0.01, None)
        update.apply(list(map(tf.constant, each)), 0.01, None)
    np.testing.assert_allclose(variables[0], reference[0], rtol=1e-5)
    np.testing.assert_array_equal(variables[1], before)


def test_settings_of_one_trial_end_with_it(variables, gradients):
    import tensorflow as tf

    update = update_of(AdamW(weight_decay=0.5), variables, factors=[0.1, 0.1])
    update.apply(list(map(tf.constant, gradients[0])), 0.01, None)
    start = [variable.numpy() for variable in variables]
    update.start(AdamW(weight_decay=0.0))
    update.apply(list(map(tf.constant, gradients[1])), 0.01, None)
    for variable, before, gradient in zip(variables, start, gradients[1], strict=True):
        np.testing.assert_allclose(variable, before - 0.01 * np.sign(gradient), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("settings", [Momentum(), Adam(), AdamW(), RMSProp()], ids=lambda each: each.kind)
def test_a_variable_that_the_loss_does_not_depend_on_keeps_its_values(settings, clip, variables, gradients):
    import tensorflow as tf

    before = [variable.numpy() for variable in variables]
    update_of(settings, variables).apply([None, tf.constant(gradients[0][1])], 0.01, clip)
    np.testing.assert_array_equal(variables[0], before[0])
    assert not np.any(variables[1].numpy() == before[1])
