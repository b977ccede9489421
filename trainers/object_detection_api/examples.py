"""Examples of the training part as the API's decoder gives them: kept in memory where they fit, read again where not.

Both come in the same order, which a seed and the number of the epoch decide.
"""

from __future__ import annotations

import functools
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from object_detection.core import standard_fields
from object_detection.data_decoders import tf_example_decoder
from object_detection.utils import ops

from trainers.datasets.dataset import Part

Fields = standard_fields.InputDataFields

# of decoded images: 6,990 of 160 px square, 194 of 1280 x 720. Each worker has its own
KEPT_BYTES = 2**29
# records among which the order is drawn (`shuffle_buffer_size` of the API's input reader)
SHUFFLE_BUFFER = 2048
# after so many images, and again after as many more, it is asked whether all will fit
PROBE = 16

# what augmentations and targets are made of
KEPT = (Fields.image, Fields.groundtruth_boxes, Fields.groundtruth_classes, Fields.groundtruth_weights)

# The API is written in tf.cond and tf.while_loop; converting its Python anew would only cost time.
as_written = tf.autograph.experimental.do_not_convert


class Examples(Protocol):
    """Examples of a part: where each one is, and how it is had from there."""

    part: Part

    def of_file(self, number: tf.Tensor) -> tf.data.Dataset:
        """Where the examples of the part's file `number` are, in their order."""

    def example(self, place: tf.Tensor) -> dict[str, tf.Tensor]:
        """The decoded example at `place`: image (H, W, 3) uint8, boxes (G, 4) float32 [ymin, xmin, ymax, xmax]
        normalised, classes (G,) int64 from 1, weights (G,) float32, by the API's names; in a graph."""


def decoded(record: tf.Tensor) -> dict[str, tf.Tensor]:
    """All that the API's decoder finds in a record."""
    tensors: dict[str, tf.Tensor] = tf_example_decoder.TfExampleDecoder().decode(record)
    return tensors


class ReadExamples:
    """Reads and decodes records each time."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._files = tf.constant([str(file) for file in part.files])

    def of_file(self, number: tf.Tensor) -> tf.data.Dataset:
        """The file's records."""
        return tf.data.TFRecordDataset(self._files[number])

    def example(self, place: tf.Tensor) -> dict[str, tf.Tensor]:
        """Of the record `place`."""
        found: dict[str, tf.Tensor] = self._decode(place)
        return found

    @functools.cached_property
    def _decode(self) -> Any:
        @tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.string)])
        def decode(record: tf.Tensor) -> dict[str, tf.Tensor]:
            # the filters of `inputs.transform_input_data`, which come before its augmentation
            tensors = ops.filter_groundtruth_with_nan_box_coordinates(decoded(record))
            tensors = ops.filter_unrecognized_classes(tensors)
            return {name: tensors[name] for name in KEPT}

        return decode.get_concrete_function()


class KeptExamples:
    """Decoded examples in memory, end to end: of each one it is known where it begins."""

    def __init__(self, part: Part, found: list[list[dict[str, np.ndarray]]]) -> None:
        """found: the examples of each of the part's files."""
        self.part = part
        examples = [example for file in found for example in file]
        self._files = _starts([len(file) for file in found])
        self._shapes = tf.constant([example[Fields.image].shape for example in examples], tf.int64)
        self._flat, self._begin = {}, {}
        for name in KEPT:
            rows = [
                example[name].reshape(-1) if name == Fields.image else example[name] for example in examples
            ]
            self._begin[name] = _starts([len(row) for row in rows])
            self._flat[name] = tf.constant(np.concatenate(rows))

    def of_file(self, number: tf.Tensor) -> tf.data.Dataset:
        """Numbers of the file's examples."""
        return tf.data.Dataset.range(self._files[number], self._files[number + 1])

    def example(self, place: tf.Tensor) -> dict[str, tf.Tensor]:
        """Of the number `place`."""
        found: dict[str, tf.Tensor] = self._fetch(place)
        return found

    @functools.cached_property
    def _fetch(self) -> Any:
        @tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.int64)])
        def fetch(number: tf.Tensor) -> dict[str, tf.Tensor]:
            tensors = {
                name: self._flat[name][self._begin[name][number] : self._begin[name][number + 1]]
                for name in KEPT
            }
            image = tf.reshape(tensors[Fields.image], self._shapes[number])
            return tensors | {Fields.image: tf.ensure_shape(image, [None, None, 3])}

        return fetch.get_concrete_function()


def examples_of(part: Part, threads: int, limit: int = KEPT_BYTES) -> Examples:
    """The part's examples, kept if all of them decoded have at most `limit` bytes of pixels."""
    reading = ReadExamples(part)
    found: list[list[dict[str, np.ndarray]]] = []
    count = size = 0
    for number in range(len(part.files)):
        found.append([])
        records = reading.of_file(tf.constant(number))
        for example in records.map(reading.example, threads, deterministic=True).as_numpy_iterator():
            found[-1].append(example)
            count, size = count + 1, size + example[Fields.image].nbytes
            if (count % PROBE == 0 or count == part.images) and size / count * part.images > limit:
                return reading
    return KeptExamples(part, found)


def in_order(examples: Examples, seed: int, first: int) -> tf.data.Dataset:
    """Places of examples without end, from the `first` on, in an order that is drawn anew each epoch."""
    part = examples.part
    first_epoch, skipped = divmod(first, part.images)

    @as_written
    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        files = tf.data.Dataset.range(len(part.files)).shuffle(len(part.files), seed=seed + number)
        places = files.flat_map(as_written(examples.of_file))
        return places.shuffle(min(SHUFFLE_BUFFER, part.images), seed=seed + number)

    return tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(epoch).skip(skipped)


def _starts(lengths: list[int]) -> tf.Tensor:
    """Where each of pieces of such lengths begins, and where the last one ends."""
    return tf.constant(np.concatenate([[0], np.cumsum(lengths)]), tf.int64)
