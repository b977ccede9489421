"""The training examples, decoded by the API: cached in memory if they fit, else in files, else decoded each time.

The order of the examples is the same in all three cases; it depends on the seed and the epoch only.
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
from trainers.object_detection_api.input_pipeline.decoded_image_cache import DecodedImageCache
from trainers.object_detection_api.input_pipeline.detail import Detail

Fields = standard_fields.InputDataFields

# decoded images in memory, per worker: 6,990 of 160 px square, or 194 of 1280 x 720
CACHE_BYTES = 2**29
# records in the shuffle buffer (`shuffle_buffer_size` of the API's input reader)
SHUFFLE_BUFFER = 2048
# whether all images will fit into memory is estimated after every PROBE images
PROBE = 16

# the fields needed for training
TRAINING_FIELDS = (
    Fields.image,
    Fields.groundtruth_boxes,
    Fields.groundtruth_classes,
    Fields.groundtruth_weights,
)

LABELS = "labels.npz"
Labels = Mapping[str, np.ndarray]

# The API uses tf.cond and tf.while_loop itself; converting its code by AutoGraph would only cost time.
as_written = tf.autograph.experimental.do_not_convert


class Examples(Protocol):
    """The examples of one part of a dataset, read in two steps: locations first, which are cheap to shuffle.

    bytes: of images that they keep in memory.
    """

    part: Part
    bytes: int

    def of_file(self, number: tf.Tensor) -> tf.data.Dataset:
        """The locations of the examples in file `number` of the part, in order."""

    def example(self, place: tf.Tensor) -> dict[str, tf.Tensor]:
        """The decoded example at a location: image (H, W, 3) uint8, boxes (G, 4) float32 [ymin, xmin, ymax, xmax]
        normalised, classes (G,) int64 from 1, weights (G,) float32, under the API's field names. Used in graphs."""


def decoded(record: tf.Tensor) -> dict[str, tf.Tensor]:
    """All fields of a record, decoded by the API's decoder; a box around a crowd has weight 0.

    An anchor that matches a box of weight 0 is neither an object nor background to the API's losses.
    """
    tensors: dict[str, tf.Tensor] = tf_example_decoder.TfExampleDecoder().decode(record)
    weights = tensors[Fields.groundtruth_weights]
    for flag in (Fields.groundtruth_is_crowd, Fields.groundtruth_group_of):
        # without this feature in the record, it is empty
        flags = tf.cond(
            tf.size(tensors[flag]) > 0,
            functools.partial(tf.identity, tensors[flag]),
            functools.partial(tf.zeros_like, weights, tf.bool),
        )
        weights = tf.where(flags, tf.zeros_like(weights), weights)
    return tensors | {Fields.groundtruth_weights: weights}


class StreamedExamples:
    """Examples that are read and decoded each time; a location is the serialized record."""

    bytes = 0

    def __init__(self, part: Part, detail: Detail | None = None) -> None:
        """detail: to which images are shrunk; None for their own size."""
        self.part, self._detail = part, detail
        self._files = tf.constant([str(file) for file in part.files])

    def of_file(self, number: tf.Tensor) -> tf.data.Dataset:
        """The file's records."""
        return tf.data.TFRecordDataset(self._files[number])

    def example(self, place: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decode the record."""
        found: dict[str, tf.Tensor] = self._decode(place)
        return found

    @functools.cached_property
    def _decode(self) -> Any:
        @tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.string)])
        def decode(record: tf.Tensor) -> dict[str, tf.Tensor]:
            # the filters that `inputs.transform_input_data` applies before the augmentation
            tensors = ops.filter_groundtruth_with_nan_box_coordinates(decoded(record))
            tensors = ops.filter_unrecognized_classes(tensors)
            if self._detail is not None:
                tensors[Fields.image] = self._detail.shrunk(tensors[Fields.image])
            return {name: tensors[name] for name in TRAINING_FIELDS}

        return decode.get_concrete_function()


class CachedExamples:
    """Decoded examples, the images in memory or in files, the labels in memory; a location is the example's number."""

    def __init__(
        self, part: Part, labels: Labels, pixels: Callable[[tf.Tensor], tf.Tensor], in_memory: int = 0
    ) -> None:
        """pixels: example number -> pixels of its image, (H * W * 3,) uint8; used in graphs. in_memory: their bytes."""
        self.part, self.bytes = part, in_memory
        self._pixels = pixels
        self._files = tf.constant(labels["files"])
        self._shapes = tf.constant(labels["shapes"])
        self._flat = {name: tf.constant(labels[name]) for name in TRAINING_FIELDS[1:]}
        self._begin = {name: tf.constant(labels[f"{name}:begin"]) for name in TRAINING_FIELDS[1:]}

    def of_file(self, number: tf.Tensor) -> tf.data.Dataset:
        """The numbers of the file's examples."""
        return tf.data.Dataset.range(self._files[number], self._files[number + 1])

    def example(self, place: tf.Tensor) -> dict[str, tf.Tensor]:
        """Fetch the example with this number."""
        found: dict[str, tf.Tensor] = self._fetch(place)
        return found

    @functools.cached_property
    def _fetch(self) -> Any:
        @tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.int64)])
        def fetch(number: tf.Tensor) -> dict[str, tf.Tensor]:
            tensors = {
                name: self._flat[name][self._begin[name][number] : self._begin[name][number + 1]]
                for name in TRAINING_FIELDS[1:]
            }
            image = tf.reshape(self._pixels(number), self._shapes[number])
            return tensors | {Fields.image: tf.ensure_shape(image, [None, None, 3])}

        return fetch.get_concrete_function()


def examples_of(
    part: Part,
    threads: int,
    limit: int = CACHE_BYTES,
    store: DecodedImageCache | None = None,
    key: str = "",
    detail: Detail | None = None,
) -> Examples:
    """The examples of a part: in memory if their decoded images have at most `limit` bytes, else in `store` under `key`.

    Without room in the store, they are read and decoded each time. threads: for decoding. detail: to which images are
    shrunk; None for their own size.
    """
    reading = StreamedExamples(part, detail)
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
    return CachedExamples(part, labels_of(found), _in_memory(images), size)


def _stored(
    reading: StreamedExamples, threads: int, store: DecodedImageCache, key: str, size: int
) -> Examples:
    def fill(folder: Path) -> None:
        found: list[list[dict[str, np.ndarray]]] = []
        numbers = itertools.count()
        for file in _decoded_files(reading, threads):
            found.append([])
            for example in file:
                (folder / str(next(numbers))).write_bytes(example[Fields.image].tobytes())
                shape = np.broadcast_to(
                    np.uint8(0), example[Fields.image].shape
                )  # only the shape; takes no memory
                found[-1].append(example | {Fields.image: shape})
        np.savez(folder / LABELS, allow_pickle=False, **labels_of(found))

    try:
        folder = store.folder(key, size, fill)
    except OSError as error:  # the cache only saves time
        logging.getLogger(__name__).warning("decoded images cannot be cached in files: %s", error)
        folder = None
    if folder is None:
        return reading
    with np.load(folder / LABELS) as labels:
        return CachedExamples(reading.part, dict(labels), _InFiles(folder, store))


def _decoded_files(reading: StreamedExamples, threads: int) -> Iterator[Iterator[dict[str, np.ndarray]]]:
    for number in range(len(reading.part.files)):
        records = reading.of_file(tf.constant(number))
        yield records.map(reading.example, threads, deterministic=True).as_numpy_iterator()


def labels_of(found: list[list[dict[str, np.ndarray]]]) -> Labels:
    """The labels and image shapes of examples (a list per file), concatenated, with offsets per file and per example."""
    examples = [example for file in found for example in file]
    labels = {
        "files": _starts([len(file) for file in found]),
        "shapes": np.array([example[Fields.image].shape for example in examples], np.int64),
    }
    for name in TRAINING_FIELDS[1:]:
        labels[name] = np.concatenate([example[name] for example in examples])
        labels[f"{name}:begin"] = _starts([len(example[name]) for example in examples])
    return labels


def _in_memory(images: list[np.ndarray]) -> Callable[[tf.Tensor], tf.Tensor]:
    begin, flat = tf.constant(_starts([len(image) for image in images])), tf.constant(np.concatenate(images))
    return lambda number: flat[begin[number] : begin[number + 1]]


class _InFiles:
    """Pixels from files in a folder of `store`; the reference to the store keeps the folder locked."""

    def __init__(self, folder: Path, store: DecodedImageCache) -> None:
        self._folder, self._store = folder, store

    def __call__(self, number: tf.Tensor) -> tf.Tensor:
        path = tf.strings.join([f"{self._folder}/", tf.strings.as_string(number)])
        return tf.io.decode_raw(tf.io.read_file(path), tf.uint8)


def in_order(examples: Examples, seed: int, first: int) -> tf.data.Dataset:
    """An endless dataset of the examples' locations, starting with number `first`, reshuffled in each epoch."""
    part = examples.part
    first_epoch, skipped = divmod(first, part.images)

    @as_written
    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        files = tf.data.Dataset.range(len(part.files)).shuffle(len(part.files), seed=seed + number)
        places = files.flat_map(as_written(examples.of_file))
        return places.shuffle(min(SHUFFLE_BUFFER, part.images), seed=seed + number)

    return tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(epoch).skip(skipped)


def _starts(lengths: list[int]) -> np.ndarray:
    """The start offsets of consecutive pieces with these lengths, and the end of the last one."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
