"""Training and validation batches, made from TFRecord files with the API's own decoder and augmentations.

The order of the examples and all random numbers depend only on the recipe's seed and the example's index since the
start of the trial, so that a resumed trial sees exactly the batches that it would have seen.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from object_detection import inputs
from object_detection.builders import image_resizer_builder
from object_detection.core import standard_fields

from trainers.datasets.dataset import MOST_TRAINED_BOXES, Part
from trainers.datasets.records.reading import selected_examples
from trainers.datasets.records.representative import evenly_spaced, representative
from trainers.object_detection_api import architectures
from trainers.object_detection_api.input_pipeline import augmentation_builder
from trainers.object_detection_api.input_pipeline.examples import (
    TRAINING_FIELDS,
    Examples,
    as_written,
    decoded,
    in_order,
)
from trainers.object_detection_api.input_pipeline.seeded_augmentation import seeded

Fields = standard_fields.InputDataFields
Batch = Mapping[str, tf.Tensor]
# of an image: boxes, classes, weights, as in TRAINING_FIELDS
LABELS = (
    tf.TensorSpec([None, 4], tf.float32), tf.TensorSpec([None], tf.int64), tf.TensorSpec([None], tf.float32),
)  # fmt: skip
MOST_AUGMENTED = 16  # recipes whose augmentations stay traced


class Preparation:
    """Augments an example, and resizes, normalises and pads it; the latter is traced once for all recipes of a graph.

    The augmentations of the last recipes stay traced too, for a trial that goes on in a process in which it was before.
    """

    def __init__(self, model_config: Any, preprocess: Callable[..., Any]) -> None:
        """model_config: a `model_pb2.DetectionModel`. preprocess: the model's own method."""
        self._model_config = model_config
        self._preprocess = preprocess
        self._augmented: OrderedDict[tuple[bytes, ...], Any] = OrderedDict()

    def trace(self) -> None:
        """Trace now, instead of at the first use."""
        self._prepare  # noqa: B018

    def __call__(self, tensors: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """An element of `training_batches` without the batch dimension. Used in graphs; images may have any size."""
        image = tf.cast(tensors[Fields.image], tf.float32)
        found: dict[str, tf.Tensor] = self._prepare(
            image,
            tensors[Fields.groundtruth_boxes],
            tensors[Fields.groundtruth_classes],
            tensors[Fields.groundtruth_weights],
        )
        return found

    def augmented(self, steps: Sequence[Any]) -> Any:
        """A function in a graph: the fields of an example, in the order of TRAINING_FIELDS, and a seed -> as `__call__`.

        steps: `preprocessor_pb2.PreprocessingStep`s. The seed, (2,) int64, decides all that they draw.
        """
        key = tuple(step.SerializeToString(deterministic=True) for step in steps)
        if key not in self._augmented:
            self._augmented[key] = self._traced([augmentation_builder.build(step) for step in steps])
        self._augmented.move_to_end(key)
        if len(self._augmented) > MOST_AUGMENTED:
            self._augmented.popitem(last=False)
        return self._augmented[key]

    def _traced(self, augmentations: Sequence[Any]) -> Any:
        signature = [tf.TensorSpec([None, None, 3], tf.uint8), *LABELS, tf.TensorSpec([2], tf.int64)]

        @tf.function(autograph=False, input_signature=signature)
        def augment(image: Any, boxes: Any, classes: Any, weights: Any, seed: Any) -> dict[str, tf.Tensor]:
            tensors = dict(zip(TRAINING_FIELDS, (image, boxes, classes, weights), strict=True))
            # required by one augmentation, but not used in training
            tensors[Fields.multiclass_scores] = tf.one_hot(classes - 1, 1)
            with seeded(seed):
                return self(inputs.augment_input_data(tensors, augmentations))

        return augment.get_concrete_function()

    @functools.cached_property
    def _prepare(self) -> Any:
        signature = [tf.TensorSpec([None, None, 3], tf.float32), *LABELS]

        @tf.function(autograph=False, input_signature=signature)
        def prepare(image: Any, boxes: Any, classes: Any, weights: Any) -> dict[str, tf.Tensor]:
            tensors = dict(zip(TRAINING_FIELDS, (image, boxes, classes, weights), strict=True))
            return _features(_transformed(tensors, self._model_config, self._preprocess, MOST_TRAINED_BOXES))

        return prepare.get_concrete_function()


def training_batches(
    examples: Examples, prepare: Preparation, train_config: Any, seed: int, first_step: int, threads: int
) -> tf.data.Dataset:
    """An endless dataset of training batches, starting with that of step `first_step` (from 0).

    train_config: a `train_pb2.TrainConfig`.
    Each element is a dict of image (B, S, S, 3) float32, true_image_shape (B, 3) int32, boxes (B, 100, 4) float32
    [ymin, xmin, ymax, xmax] normalised, classes (B, 100, N) float32 one-hot, weights (B, 100) float32.
    """
    batch_size = train_config.batch_size
    steps = list(train_config.data_augmentation_options)
    augmented = prepare.augmented(steps) if steps else None
    first = first_step * batch_size
    numbered = in_order(examples, seed, first).enumerate(start=first)

    @as_written
    def example(index: tf.Tensor, place: tf.Tensor) -> dict[str, tf.Tensor]:
        tensors = examples.example(place)
        if augmented is None:
            return prepare(tensors)
        # the low 20 bits are for the random calls on one image
        drawn = tf.stack([tf.constant(seed << 20, tf.int64), index])
        found: dict[str, tf.Tensor] = augmented(*(tensors[name] for name in TRAINING_FIELDS), drawn)
        return found

    batches = numbered.map(example, num_parallel_calls=threads, deterministic=True)
    return _with_threads(batches.batch(batch_size, drop_remainder=True).prefetch(2), threads)


def validation_batches(
    part: Part,
    config: Any,
    preprocess: Callable[..., Any],
    batch_size: int,
    threads: int,
    images: int | None = None,
    most_boxes: int = MOST_TRAINED_BOXES,
) -> tf.data.Dataset:
    """The validation images once, in order, in batches of static shape; the last batch is padded with repeated images.

    images: how many images to use, evenly spaced; None for all. most_boxes: room for the boxes of an image.
    Elements are those of `training_batches` with this room, and original_shape (B, 2) int32 [height, width] in pixels,
    and real (B,) bool: false for images that only pad the batch.
    """
    records = tf.data.TFRecordDataset([str(file) for file in part.files])
    count = part.images
    if images is not None and images < count:
        records, count = _spread(records, count, images), images
    return _clean(records, count, config, preprocess, batch_size, threads, most_boxes)


def clean_batches(
    part: Part, config: Any, preprocess: Callable[..., Any], batch_size: int, threads: int, images: int
) -> tf.data.Dataset:
    """At least `images` images of a part without augmentation, in whole batches like those of `validation_batches`.

    They come from everywhere in the part, and so do those of each batch; they are the same in every call. A part with
    fewer images repeats them.
    """
    count = -(-images // batch_size) * batch_size
    positions = representative(part.images, count)
    examples = dict(selected_examples(part.files, set(positions)))
    records = tf.data.Dataset.from_tensor_slices([examples[position] for position in positions])
    return _clean(records, count, config, preprocess, batch_size, threads, MOST_TRAINED_BOXES)


def _clean(
    records: tf.data.Dataset,
    count: int,
    config: Any,
    preprocess: Callable[..., Any],
    batch_size: int,
    threads: int,
    most_boxes: int,
) -> tf.data.Dataset:
    """Batches of the records without augmentation: `count` records (repeated if necessary), padded to whole batches."""
    prepare = functools.partial(
        _prepare_for_validation, config=config.model, preprocess=preprocess, most_boxes=most_boxes
    )
    filled = -(-count // batch_size) * batch_size
    numbered = records.repeat().take(filled).enumerate()

    @as_written
    def example(index: tf.Tensor, record: tf.Tensor) -> dict[str, tf.Tensor]:
        return prepare(record) | {"real": index < count}

    examples = numbered.map(example, num_parallel_calls=threads, deterministic=True)
    return _with_threads(examples.batch(batch_size, drop_remainder=True).prefetch(2), threads)


def _spread(records: tf.data.Dataset, count: int, wanted: int) -> tf.data.Dataset:
    """`wanted` of the `count` records, evenly spaced."""
    mask = np.zeros(count, bool)
    mask[evenly_spaced(count, wanted)] = True
    chosen = tf.constant(mask)

    @as_written
    def taken(index: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        return chosen[index]

    return records.enumerate().filter(taken).map(lambda _, record: record)


def _with_threads(dataset: tf.data.Dataset, threads: int) -> tf.data.Dataset:
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    # nothing to tune, and closing an iterator waits for the tuner's thread, which would delay the next trial by seconds
    options.autotune.enabled = False
    options.experimental_warm_start = True
    # optimizing such a short pipeline takes longer than it saves
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.with_options(options)


def _prepare_for_validation(
    record: tf.Tensor, config: Any, preprocess: Callable[..., Any], most_boxes: int
) -> dict[str, tf.Tensor]:
    tensors = decoded(record)
    transformed = _transformed(tensors, config, preprocess, most_boxes)
    return _features(transformed) | {"original_shape": tf.shape(tensors[Fields.image])[:2]}


def _transformed(
    tensors: dict[str, tf.Tensor], config: Any, preprocess: Callable[..., Any], most_boxes: int
) -> dict[str, tf.Tensor]:
    """The transformations of `inputs.eval_input`, which are those of `train_input` after the augmentation."""
    architecture = architectures.of(config)
    resizer = architecture.image_resizer(config)
    shape = resizer.WhichOneof("image_resizer_oneof")
    size = (
        resizer.fixed_shape_resizer.height
        if shape == "fixed_shape_resizer"
        else (resizer.keep_aspect_ratio_resizer.max_dimension)
    )
    transformed = inputs.transform_input_data(
        tensors,
        model_preprocess_fn=preprocess,
        image_resizer_fn=image_resizer_builder.build(resizer),
        num_classes=architecture.num_classes(config),
    )
    padded: dict[str, tf.Tensor] = inputs.pad_input_data_to_static_shapes(
        tensor_dict=transformed,
        max_num_boxes=most_boxes,
        num_classes=architecture.num_classes(config),
        spatial_image_shape=[size, size],
    )
    return padded


def _features(tensors: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {
        "image": tensors[Fields.image],
        "true_image_shape": tensors[Fields.true_image_shape],
        "boxes": tensors[Fields.groundtruth_boxes],
        "classes": tensors[Fields.groundtruth_classes],
        "weights": tensors[Fields.groundtruth_weights],
    }
