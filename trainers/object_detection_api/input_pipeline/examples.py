"""Examples of the training part as the API's decoder gives them: kept in memory where they fit, else in files.

Where neither has room, they are read and decoded each time. All come in the same order, which a seed and the number of
the epoch decide.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from object_detection.core import standard_fields
from object_detection.data_decoders import tf_example_decoder
from object_detection.utils import ops

from trainers.datasets.dataset import Part
from trainers.object_detection_api.input_pipeline.decoded_store import DecodedStore

Fields = standard_fields.InputDataFields

# of decoded images: 6,990 of 160 px square, 194 of 1280 x 720. Each worker has its own
KEPT_BYTES = 2**29
# records among which the order is drawn (`shuffle_buffer_size` of the API's input reader)
SHUFFLE_BUFFER = 2048
# after so many images, and again after as many more, it is asked whether all will fit
PROBE = 16

# what augmentations and targets are made of
KEPT = (Fields.image, Fields.groundtruth_boxes, Fields.groundtruth_classes, Fields.groundtruth_weights)

LABELS = "labels.npz"
Labels = Mapping[str, np.ndarray]

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
    """Decoded examples: the images in memory or in files, all else in memory, end to end."""

    def __init__(self, part: Part, labels: Labels, pixels: Callable[[tf.Tensor], tf.Tensor]) -> None:
        """pixels: of the image with a number, (H * W * 3,) uint8; in a graph."""
        self.part = part
        self._pixels = pixels
        self._files = tf.constant(labels["files"])
        self._shapes = tf.constant(labels["shapes"])
        self._flat = {name: tf.constant(labels[name]) for name in KEPT[1:]}
        self._begin = {name: tf.constant(labels[f"{name}:begin"]) for name in KEPT[1:]}

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
                for name in KEPT[1:]
            }
            image = tf.reshape(self._pixels(number), self._shapes[number])
            return tensors | {Fields.image: tf.ensure_shape(image, [None, None, 3])}

        return fetch.get_concrete_function()


def examples_of(
    part: Part, threads: int, limit: int = KEPT_BYTES, store: DecodedStore | None = None, key: str = ""
) -> Examples:
    """The part's examples: kept if, decoded, they have at most `limit` bytes of pixels; else in `store` by `key`."""
    reading = ReadExamples(part)
    found: list[list[dict[str, np.ndarray]]] = []
    count = size = 0
    for file in _decoded_files(reading, threads):
        found.append([])
        for example in file:
            found[-1].append(example)
            count, size = count + 1, size + example[Fields.image].nbytes
            if (count % PROBE == 0 or count == part.images) and (
                whole := size // count * part.images
            ) > limit:
                del found
                return _stored(reading, threads, store, key, whole) if store else reading
    images = [example[Fields.image].reshape(-1) for file in found for example in file]
    return KeptExamples(part, labels_of(found), _in_memory(images))


def _stored(reading: ReadExamples, threads: int, store: DecodedStore, key: str, size: int) -> Examples:
    def fill(folder: Path) -> None:
        found: list[list[dict[str, np.ndarray]]] = []
        numbers = itertools.count()
        for file in _decoded_files(reading, threads):
            found.append([])
            for example in file:
                (folder / str(next(numbers))).write_bytes(example[Fields.image].tobytes())
                shape = np.broadcast_to(np.uint8(0), example[Fields.image].shape)  # takes no memory
                found[-1].append(example | {Fields.image: shape})
        np.savez(folder / LABELS, allow_pickle=False, **labels_of(found))

    try:
        folder = store.folder(key, size, fill)
    except OSError as error:  # what is only quicker is no reason to end a search
        logging.getLogger(__name__).warning("decoded images are not kept in files: %s", error)
        folder = None
    if folder is None:
        return reading
    with np.load(folder / LABELS) as labels:
        return KeptExamples(reading.part, dict(labels), _InFiles(folder, store))


def _decoded_files(reading: ReadExamples, threads: int) -> Iterator[Iterator[dict[str, np.ndarray]]]:
    for number in range(len(reading.part.files)):
        records = reading.of_file(tf.constant(number))
        yield records.map(reading.example, threads, deterministic=True).as_numpy_iterator()


def labels_of(found: list[list[dict[str, np.ndarray]]]) -> Labels:
    """All but the pixels of examples, which are given by file: where each file and each example begins, and shapes."""
    examples = [example for file in found for example in file]
    labels = {
        "files": _starts([len(file) for file in found]),
        "shapes": np.array([example[Fields.image].shape for example in examples], np.int64),
    }
    for name in KEPT[1:]:
        labels[name] = np.concatenate([example[name] for example in examples])
        labels[f"{name}:begin"] = _starts([len(example[name]) for example in examples])
    return labels


def _in_memory(images: list[np.ndarray]) -> Callable[[tf.Tensor], tf.Tensor]:
    begin, flat = tf.constant(_starts([len(image) for image in images])), tf.constant(np.concatenate(images))
    return lambda number: flat[begin[number] : begin[number + 1]]


class _InFiles:
    """Pixels from the files of a folder of `store`, which keeps it as long as this is there."""

    def __init__(self, folder: Path, store: DecodedStore) -> None:
        self._folder, self._store = folder, store

    def __call__(self, number: tf.Tensor) -> tf.Tensor:
        path = tf.strings.join([f"{self._folder}/", tf.strings.as_string(number)])
        return tf.io.decode_raw(tf.io.read_file(path), tf.uint8)


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


def _starts(lengths: list[int]) -> np.ndarray:
    """Where each of pieces of such lengths begins, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
