"""Graph: the traced functions of one detector (gradients, updates, evaluation), built once and shared by many recipes.

Everything that may differ between these recipes (learning rate, momentum, loss weights, L2, clipping, averaging,
augmentations, initial weights, seed) is an argument or a variable, or belongs to the input pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import tensorflow as tf

from trainers.datasets.dataset import MOST_TRAINED_BOXES
from trainers.keras_training.batch_norm.statistics import Statistics
from trainers.keras_training.optimizer import Update
from trainers.keras_training.replicas import Replicas
from trainers.keras_training.snapshot import SavedVariables
from trainers.keras_training.training_state import TrainingState
from trainers.keras_training.variables import set_all, values_of
from trainers.object_detection_api import architectures
from trainers.object_detection_api.detector import DetectorRecipe
from trainers.object_detection_api.dropping import nothing_dropped
from trainers.object_detection_api.input_pipeline.batches import Batch, Preparation
from trainers.object_detection_api.input_pipeline.seeded_augmentation import seeded
from trainers.object_detection_api.model import DetectionModel, learning_phase
from trainers.optimizers import Optimizer

# loss part (Architecture.losses) -> its factor, and "regularization" -> the L2 weight; float32 scalars
LossWeights = Mapping[str, tf.Tensor]


_ALWAYS = (0, 0)  # the seed where the same random numbers are wanted each time


def blank_batch(batch_size: int, image_size: int, classes: int, most_boxes: int) -> dict[str, tf.Tensor]:
    """A batch of zeros without boxes, with the shapes of `batches.training_batches` and room for `most_boxes`."""
    return {
        "image": tf.zeros([batch_size, image_size, image_size, 3]),
        "true_image_shape": tf.tile([[image_size, image_size, 3]], [batch_size, 1]),
        "boxes": tf.zeros([batch_size, most_boxes, 4]),
        "classes": tf.zeros([batch_size, most_boxes, classes]),
        "weights": tf.zeros([batch_size, most_boxes]),
    }


def training_inputs(batch: Batch) -> dict[str, tf.Tensor]:
    """A batch without what only validation batches have, as `Graph.statistics` takes it."""
    return {name: batch[name] for name in ("image", "true_image_shape", "boxes", "classes", "weights")}


class Graph(TrainingState):
    """The graph of one detector at one image size and batch size.

    model_config: a `model_pb2.DetectionModel` with loss weights 1 and the detector's published L2 weight.
    image_size: pixels. precision, batch_norm_decay, flip_test: as in DetectorRecipe.
    xla: whether to compile the gradient step.
    most_boxes: room for the boxes of an image in evaluation.
    devices: those that share a gradient step's images, such as "GPU:0"; none for TensorFlow's first.
    """

    def __init__(
        self,
        model_config: Any,
        image_size: int,
        batch_size: int,
        precision: str = "float32",
        batch_norm_decay: float | None = None,
        xla: bool = False,
        most_boxes: int = MOST_TRAINED_BOXES,
        flip_test: bool = False,
        devices: Sequence[str] = (),
    ) -> None:
        self.detector = DetectionModel(model_config, image_size, precision, batch_norm_decay, flip_test)
        # whose names in checkpoints are the zoo's, so that it can be fine-tuned
        super().__init__(self.detector.model, self.detector.trainable_variables, per_variable=True)
        self._gradients = tf.function(self._losses_and_gradients, autograph=False, jit_compile=xla or None)
        self.prepare = Preparation(model_config, self.detector.model.preprocess)
        classes = architectures.of(model_config).num_classes(model_config)
        self._blank_arguments = (
            blank_batch(batch_size, image_size, classes, MOST_TRAINED_BOXES),
            dict.fromkeys((*self.detector.architecture.losses, "regularization"), tf.constant(1.0)),
            tf.constant([0, 0], tf.int64),
        )
        self._blank_validation = blank_batch(batch_size, image_size, classes, most_boxes) | {
            "real": tf.ones(batch_size, tf.bool)
        }
        self._tracing: Future[Any] | None = None
        normalising = self.detector.batch_norm_layers
        self.statistics = Statistics(normalising, self._predict_in_training)
        self._replicas = (
            Replicas(devices, normalising, batch_size) if min(len(devices), batch_size) > 1 else None
        )

    def new_update(self, settings: Optimizer) -> Update:
        """An update that is traced, beside the first gradient step; the model's variables keep their values."""
        self._gradients.get_concrete_function(*self._blank_arguments)
        kept = values_of(self.detector.variables)
        # the first run releases the GIL, so the update is traced in parallel
        with ThreadPoolExecutor(1) as beside:
            ran = beside.submit(self._gradients, *self._blank_arguments)
            update = super().new_update(settings)
            update.trace()
        update.apply(ran.result()[1], learning_rate=0.0, clip=None)
        set_all(self.detector.variables, kept)
        return update

    def saved(self, settings: Optimizer, averaged: bool) -> SavedVariables:
        """See TrainingState. Waits for tracing, which changes attributes of the model while its variables are found."""
        self.wait_for_tracing()
        return super().saved(settings, averaged)

    def prepare_for(self, recipe: DetectorRecipe) -> None:
        """Trace the gradients at each of the recipe's training sizes."""
        architecture, (blank, *others) = self.detector.architecture, self._blank_arguments
        for size in architecture.train_sizes(recipe):
            if size != self.detector.image_size:
                self._gradients.get_concrete_function(_scaled(blank, size), *others)

    def rate_factors(self, recipe: DetectorRecipe, step: int) -> list[float]:
        """Factors of the learning rate of the trainable variables from step number `step` (from 0) on."""
        return self.detector.architecture.rate_factors(self.detector.model, self._trainable, recipe, step)

    def begin_step(self, batch: Batch, recipe: DetectorRecipe, step: int) -> Batch:
        """The batch as step number `step` (from 0) takes it: at the size that is its turn."""
        size = self.detector.architecture.begin_step(self.detector.model, recipe, step)
        return batch if size == self.detector.image_size else _scaled(batch, size)

    def gradients(
        self, batch: Batch, weights: LossWeights, seed: int, step: int
    ) -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
        """Loss parts and the gradients of their sum, in training mode (updates batch normalisation's averages).

        seed, step: of the recipe and of the trial; they determine the random numbers of models that draw samples.
        """
        drawn = tf.constant(
            [seed << 20, step], tf.int64
        )  # the low 20 bits are for the random calls in one step
        losses, gradients = self._gradients(dict(batch), dict(weights), drawn)
        return losses, gradients

    def evaluate(
        self, batch: Batch, weights: LossWeights
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Loss parts and detections, in inference mode.

        Detections: boxes (B, D, 4) [ymin, xmin, ymax, xmax] normalised to the padded input, scores (B, D),
        classes (B, D) from 0, count (B,). Images whose `real` is false do not contribute to the losses.
        """
        if self._tracing is not None:
            self._tracing.result()
        seen = {name: batch[name] for name in self._blank_validation}
        losses, detections = self._evaluate(seen, dict(weights))
        return losses, detections

    def trace_evaluation(self) -> None:
        """Trace, once and in a background thread, the evaluation and what the next trial needs; training can go on."""
        if self._tracing is not None:
            return
        beside = ThreadPoolExecutor(1)
        self._tracing = beside.submit(self._trace_the_rest)
        beside.shutdown(wait=False)

    def _trace_the_rest(self) -> None:
        blank, (batch, weights, _) = self._blank_validation, self._blank_arguments
        self.statistics.trace(training_inputs(batch))
        self._evaluate(blank, weights)
        self.detector.trace()

    def wait_for_tracing(self) -> None:
        """Wait until no thread is tracing: tracing sets Keras' learning phase, which is global to the process."""
        if self._tracing is not None:
            wait([self._tracing])

    def _losses_and_gradients(self, batch: Any, weights: Any, seed: tf.Tensor) -> Any:
        if self._replicas is not None:
            return self._on_several_devices(self._replicas, batch, weights, seed)
        with learning_phase(True), seeded(seed), tf.GradientTape() as tape:
            predictions = self._predictions(batch, training=True)
            losses = self._losses(predictions, batch, weights, training=True)
        return losses, tape.gradient(losses["total"], self._trainable)

    def _on_several_devices(self, replicas: Replicas, batch: Any, weights: Any, seed: tf.Tensor) -> Any:
        def outputs(share: Any) -> Any:
            with learning_phase(True), seeded(seed):
                return self._predictions(share, training=True)

        def losses(predictions: Any) -> Any:
            with learning_phase(True):
                self._provide_ground_truth(batch)  # of all images
                return self._losses(predictions, batch, weights, training=True)

        gathered = self.detector.architecture.batched_predictions
        return replicas.losses_and_gradients(batch, outputs, gathered, losses, self._trainable)

    def _predict_in_training(self, batch: Batch) -> None:
        with learning_phase(True), seeded(_ALWAYS), nothing_dropped():
            self._predictions(batch, training=True)

    @tf.function(autograph=False)
    def _evaluate(self, batch: Any, weights: Any) -> Any:
        with learning_phase(False), seeded(_ALWAYS):
            predictions = self._predictions(batch, training=False)
            losses = self._losses(predictions, batch, weights, training=False)
            found = _postprocess(self.detector, predictions, batch["true_image_shape"])
        detections = {name: found[f"detection_{name}"] for name in ("boxes", "scores", "classes")}
        return losses, detections | {"count": found["num_detections"]}

    def _provide_ground_truth(self, batch: Any) -> None:
        # `real` is always passed, because otherwise the model keeps that of an earlier trace
        real, weights = tf.ones(batch["image"].shape[0], tf.bool), batch["weights"]
        if "real" in batch:  # the API divides by the objects of all images
            real = batch["real"]
            weights *= tf.cast(real, tf.float32)[:, tf.newaxis]
        self.detector.model.provide_groundtruth(
            groundtruth_boxes_list=tf.unstack(batch["boxes"]),
            groundtruth_classes_list=tf.unstack(batch["classes"]),
            groundtruth_weights_list=tf.unstack(weights),
            is_annotated_list=tf.unstack(real),
        )

    def _predictions(self, batch: Any, training: bool) -> Any:
        self._provide_ground_truth(batch)
        return self.detector.predict(batch["image"], batch["true_image_shape"], training)

    def _losses(self, predictions: Any, batch: Any, weights: Any, training: bool) -> Any:
        detector = self.detector
        with detector.architecture.mode(detector.model, training):
            parts = detector.model.loss(predictions, batch["true_image_shape"])
        losses = {
            part: _sum(parts, keys) * weights[part] for part, keys in detector.architecture.losses.items()
        }
        if "real" in batch and detector.architecture.mean_over_images:
            share = tf.reduce_mean(tf.cast(batch["real"], tf.float32))
            losses = {part: value / share for part, value in losses.items()}
        losses["regularization"] = detector.regularization_loss(weights["regularization"])
        return losses | {"total": tf.add_n(list(losses.values()))}


def _scaled(batch: Batch, size: int) -> dict[str, tf.Tensor]:
    """The batch with its square images scaled to a side of `size` pixels; boxes are normalised and stay."""
    images = tf.image.resize(batch["image"], [size, size], antialias=True)
    # of what is padded, the true part has at least a pixel
    before = tf.cast(batch["true_image_shape"][:, :2], tf.float32) * size / batch["image"].shape[1]
    shapes = tf.concat(
        [tf.maximum(tf.cast(tf.round(before), tf.int32), 1), batch["true_image_shape"][:, 2:]], 1
    )
    return {**batch, "image": images, "true_image_shape": shapes}


def _sum(parts: Any, names: Sequence[str]) -> Any:
    return parts[names[0]] if len(names) == 1 else tf.add_n([parts[name] for name in names])


def _postprocess(detector: DetectionModel, predictions: Any, true_image_shape: tf.Tensor) -> Any:
    """The model's non-maximum suppression, traced once for all images of a batch.

    The API unrolls it over a batch of static size, which takes half of the evaluation's tracing time; over a batch of
    unknown size it loops.
    """
    architecture = detector.architecture
    any_size = {name: _of_any_batch_size(predictions[name]) for name in architecture.batched_predictions}
    others = {name: predictions[name] for name in architecture.other_predictions}
    return detector.postprocess(any_size | others, _of_any_batch_size(true_image_shape))


def _of_any_batch_size(tensor: tf.Tensor) -> tf.Tensor:
    return tf.compat.v1.placeholder_with_default(tensor, [None, *tensor.shape[1:]])
