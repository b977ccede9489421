"""One gradient step on one and on two devices of this machine; prints losses, and by how much the rest differs, as JSON.

    python stepping_on_devices.py small         of a small network with batch normalisation
    python stepping_on_devices.py RECIPE        of a detector, by a trial's recipe as JSON

TensorFlow's devices are those of a process, and other tests need one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import tensorflow as tf

(CPU,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(CPU, [tf.config.LogicalDeviceConfiguration()] * 2)

from trainers.object_detection_api import compat  # noqa: E402

compat.install()

import numpy as np  # noqa: E402
import tf_keras  # noqa: E402

from trainers import recipe as recipes  # noqa: E402
from trainers.keras_training.replicas import Replicas, uniform_by_image  # noqa: E402
from trainers.object_detection_api.graph import blank_batch  # noqa: E402
from trainers.object_detection_api.graphs import Graphs  # noqa: E402
from trainers.object_detection_api.loss_weights import loss_weights_of  # noqa: E402

CLASSES, BOXES = 3, 20


def a_batch(recipe: Any) -> dict[str, tf.Tensor]:
    """Random images, the first with one object and each further one with one more."""
    draw = np.random.default_rng(0)
    batch = {
        name: np.array(value)
        for name, value in blank_batch(recipe.batch_size, recipe.image_size, CLASSES, BOXES).items()
    }
    batch["image"] = draw.uniform(-1, 1, batch["image"].shape).astype(np.float32)
    for image in range(recipe.batch_size):
        for place in range(image + 1):
            corner = draw.uniform(0, 0.5, 2)
            batch["boxes"][image, place] = [*corner, *(corner + draw.uniform(0.2, 0.5, 2))]
            batch["classes"][image, place, draw.integers(CLASSES)] = 1
            batch["weights"][image, place] = 1
    return {name: tf.constant(value) for name, value in batch.items()}


Step = tuple[
    dict[str, float], dict[str, np.ndarray]
]  # losses by part; gradients and moving averages, as vectors


def of_detector(recipe: Any, devices: Sequence[str]) -> Step:
    graph = Graphs().of(recipe, CLASSES, BOXES, False, devices)
    graph.detector.initialize(recipe.seed)
    losses, gradients = graph.gradients(a_batch(recipe), loss_weights_of(recipe, CLASSES), recipe.seed, 0)
    moving = [
        v for layer in graph.detector.batch_norm_layers for v in (layer.moving_mean, layer.moving_variance)
    ]
    return step(losses, gradients, moving)


def of_small_network(devices: Sequence[str]) -> Step:
    """Five images, of which some are dropped; each counts by the others' largest outputs, so that the loss needs all."""
    tf_keras.utils.set_random_seed(1)
    layers = [tf_keras.layers.BatchNormalization(momentum=0.9, fused=fused) for fused in (True, False)]
    network = tf_keras.Sequential([
        tf_keras.layers.Conv2D(8, 3, input_shape=(8, 8, 3)), layers[0], tf_keras.layers.ReLU(),
        tf_keras.layers.Conv2D(4, 3, strides=2), layers[1],
    ])  # fmt: skip
    images = tf.constant(np.random.default_rng(0).normal(3, 2, (5, 8, 8, 3)).astype(np.float32))

    def outputs(share: tf.Tensor) -> dict[str, tf.Tensor]:
        kept = tf.round(uniform_by_image(tf.constant([share.shape[0], 1, 1, 1]), tf.constant([3, 4])))
        return {"maps": network(share, training=True) * kept}

    def losses(found: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        largest = tf.reduce_max(found["maps"], [1, 2, 3])
        return {"total": tf.reduce_sum(tf.square(largest)) / tf.reduce_sum(tf.abs(found["maps"]))}

    @tf.function(autograph=False)
    def take() -> Any:
        if devices:
            replicas = Replicas(devices, layers, len(images))
            return replicas.losses_and_gradients(
                images, outputs, ["maps"], losses, network.trainable_variables
            )
        with tf.GradientTape() as tape:
            parts = losses(outputs(images))
        return parts, tape.gradient(parts["total"], network.trainable_variables)

    return step(*take(), [v for layer in layers for v in (layer.moving_mean, layer.moving_variance)])


def step(losses: Any, gradients: Any, moving: Any) -> Step:
    def vector(values: Any) -> np.ndarray:
        return np.concatenate(
            [np.zeros(0), *(np.ravel(tf.convert_to_tensor(each)) for each in values if each is not None)]
        )

    found = {"gradients": vector(gradients), "moving": vector(moving)}
    return {part: float(value) for part, value in losses.items()}, found


def main() -> None:
    small = sys.argv[1] == "small"
    taken = of_small_network if small else partial(of_detector, recipes.build(json.loads(sys.argv[1])))
    (one, here), (two, there) = taken(()), taken(("CPU:0", "CPU:1"))
    apart = {
        kind: float(np.linalg.norm(there[kind] - value) / np.linalg.norm(value))
        for kind, value in here.items()
        if len(value)
    }
    print(json.dumps({"one": one, "two": two, "apart": apart}))


if __name__ == "__main__":
    main()
