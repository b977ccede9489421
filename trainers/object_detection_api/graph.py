"""What a worker builds once and uses for every recipe with the same graph: model, gradients, updates, evaluation.

All that may differ between such recipes (learning rate, momentum, loss weights, L2, clipping, averaging, augmentations,
initial weights, seed) is an argument or a variable here, or lives in the input pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from trainers.object_detection_api import architectures
from trainers.object_detection_api.averaging import Averaging
from trainers.object_detection_api.checkpoints.snapshot import SavedVariables
from trainers.object_detection_api.input_pipeline.batches import Batch, Preparation
from trainers.object_detection_api.model import DetectionModel, learning_phase
from trainers.object_detection_api.optimizer import Update
from trainers.object_detection_api.pipeline_config import MAX_BOXES
from trainers.object_detection_api.statistics import Statistics
from trainers.optimizers import Optimizer


@dataclass(frozen=True)
class LossWeights:
    """Factors of the loss parts, float32 scalars: of the graph's own classification, localization and L2 losses."""

    classification: tf.Tensor
    localization: tf.Tensor
    regularization: tf.Tensor


def blank_batch(batch_size: int, image_size: int, classes: int) -> dict[str, tf.Tensor]:
    """A training batch of grey images without boxes, as `input.training_batches` shapes them."""
    return {
        "image": tf.zeros([batch_size, image_size, image_size, 3]),
        "true_image_shape": tf.tile([[image_size, image_size, 3]], [batch_size, 1]),
        "boxes": tf.zeros([batch_size, MAX_BOXES, 4]),
        "classes": tf.zeros([batch_size, MAX_BOXES, classes]),
        "weights": tf.zeros([batch_size, MAX_BOXES]),
    }


class Graph:
    """One detector at one image and batch size.

    model_config: a `model_pb2.DetectionModel` with loss weights 1 and the detector's own L2 weight.
    precision: as a Recipe's. xla: whether the gradient step is compiled.
    """

    def __init__(
        self,
        model_config: Any,
        image_size: int,
        batch_size: int,
        precision: str = "float32",
        xla: bool = False,
    ) -> None:
        self.detector = DetectionModel(model_config, image_size, precision)
        self._gradients = tf.function(self._losses_and_gradients, autograph=False, jit_compile=xla or None)
        self.prepare = Preparation(model_config, self.detector.model.preprocess)
        blank, one = (
            blank_batch(batch_size, image_size, architectures.of(model_config).num_classes(model_config)),
            tf.constant(1.0),
        )
        self._blank_arguments = (blank, one, one, one)
        self._tried: Future[Any] | None = None
        self._updates: dict[str, Update] = {}
        self._averaging: Averaging | None = None
        self._saved: dict[tuple[str, bool], SavedVariables] = {}
        self._trainable = self.detector.trainable_variables
        self.statistics = Statistics(self.detector.batch_norm_layers, self._forward)

    def update(self, settings: Optimizer) -> Update:
        """The update by optimizers of this kind. Its first use traces and runs a step, which leaves variables moved."""
        if settings.kind not in self._updates:
            self._gradients.get_concrete_function(*self._blank_arguments)
            # its first run is TensorFlow's own work, beside which Python can go on
            with ThreadPoolExecutor(1) as beside:
                ran = beside.submit(self._gradients, *self._blank_arguments)
                update = Update(settings, self._trainable)
                update.trace()
            update.apply(ran.result()[1], learning_rate=0.0, clip=None)
            self._updates[settings.kind] = update
        return self._updates[settings.kind]

    @property
    def averaging(self) -> Averaging:
        """The average of the trainable variables, built at its first use."""
        if self._averaging is None:
            self._averaging = Averaging(self._trainable)
        return self._averaging

    def saved(self, settings: Optimizer, averaged: bool) -> SavedVariables:
        """What a checkpoint of such a trial holds; `model` has the zoo's names, to be fine-tuned from like the zoo's."""
        key = settings.kind, averaged
        if key not in self._saved:
            objects = {"model": self.detector.model, "optimizer": self.update(settings).optimizer}
            objects |= {"averaging": self.averaging} if averaged else {}
            self._saved[key] = SavedVariables(tf.train.Checkpoint(**objects))
        return self._saved[key]

    def gradients(self, batch: Batch, weights: LossWeights) -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
        """Loss parts and the gradients of their sum, in training mode (batch normalisation moves its averages)."""
        losses, gradients = self._gradients(
            dict(batch), weights.classification, weights.localization, weights.regularization
        )
        return losses, gradients

    def evaluate(
        self, batch: Batch, weights: LossWeights
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Loss parts and detections, in inference mode.

        Detections: boxes (B, 100, 4) [ymin, xmin, ymax, xmax] normalised to the padded input, scores (B, 100),
        classes (B, 100) from 0, count (B,). Images with `real` false do not enter the losses.
        """
        if self._tried is not None:
            self._tried.result()
        seen = {name: batch[name] for name in (*self._blank_arguments[0], "real")}
        losses, detections = self._evaluate(
            seen, weights.classification, weights.localization, weights.regularization
        )
        return losses, detections

    def try_evaluation(self) -> None:
        """Trace evaluation and what the next trial needs, in a thread and once: training, traced, goes on meanwhile."""
        if self._tried is not None:
            return
        beside = ThreadPoolExecutor(1)
        self._tried = beside.submit(self._trace_the_rest)
        beside.shutdown(wait=False)

    def _trace_the_rest(self) -> None:
        blank, *weights = self._blank_arguments
        # not run: that would move statistics
        self._predict_in_training.get_concrete_function(blank["image"], blank["true_image_shape"])
        self._evaluate(blank | {"real": tf.ones(blank["image"].shape[0], tf.bool)}, *weights)
        self.detector.trace()

    def settle(self) -> None:
        """Return when nothing is traced in a thread: Keras' learning phase, which tracing sets, is the process's."""
        if self._tried is not None:
            wait([self._tried])

    def _losses_and_gradients(
        self, batch: Any, classification: Any, localization: Any, regularization: Any
    ) -> Any:
        with learning_phase(True), tf.GradientTape() as tape:
            _, losses = self._predict(batch, classification, localization, regularization)
        return losses, tape.gradient(losses["total"], self._trainable)

    def _forward(self, batch: Batch) -> None:
        self._predict_in_training(batch["image"], batch["true_image_shape"])

    @tf.function(autograph=False)
    def _predict_in_training(self, image: Any, true_image_shape: Any) -> None:
        with learning_phase(True):
            self.detector.predict(image, true_image_shape)

    @tf.function(autograph=False)
    def _evaluate(self, batch: Any, classification: Any, localization: Any, regularization: Any) -> Any:
        with learning_phase(False):
            predictions, losses = self._predict(batch, classification, localization, regularization)
            found = _postprocess(self.detector, predictions, batch["true_image_shape"])
        detections = {name: found[f"detection_{name}"] for name in ("boxes", "scores", "classes")}
        return losses, detections | {"count": found["num_detections"]}

    def _predict(self, batch: Any, classification: Any, localization: Any, regularization: Any) -> Any:
        model = self.detector.model
        # always given: the model keeps it from an earlier trace otherwise
        real = batch.get("real", tf.ones(batch["image"].shape[0], tf.bool))
        model.provide_groundtruth(
            groundtruth_boxes_list=tf.unstack(batch["boxes"]),
            groundtruth_classes_list=tf.unstack(batch["classes"]),
            groundtruth_weights_list=tf.unstack(batch["weights"]),
            is_annotated_list=tf.unstack(real),
        )
        predictions = self.detector.predict(batch["image"], batch["true_image_shape"])
        parts = model.loss(predictions, batch["true_image_shape"])
        named = self.detector.architecture.losses
        losses = {
            "classification": _sum(parts, named["classification"]) * classification,
            "localization": _sum(parts, named["localization"]) * localization,
            "regularization": tf.add_n(model.regularization_losses()) * regularization,
        }
        return predictions, losses | {"total": tf.add_n(list(losses.values()))}


def _sum(parts: Any, names: Sequence[str]) -> Any:
    return parts[names[0]] if len(names) == 1 else tf.add_n([parts[name] for name in names])


def _postprocess(detector: DetectionModel, predictions: Any, true_image_shape: tf.Tensor) -> Any:
    """The model's non-maximum suppression, traced once for all images of a batch.

    The API unrolls it for every image of a batch whose size is known when it is traced, which takes half of an
    evaluation's tracing; it loops over a batch whose size is not.
    """
    architecture = detector.architecture
    any_size = {name: _of_any_batch_size(predictions[name]) for name in architecture.batched_predictions}
    others = {name: predictions[name] for name in architecture.other_predictions}
    return detector.model.postprocess(any_size | others, _of_any_batch_size(true_image_shape))


def _of_any_batch_size(tensor: tf.Tensor) -> tf.Tensor:
    return tf.compat.v1.placeholder_with_default(tensor, [None, *tensor.shape[1:]])
