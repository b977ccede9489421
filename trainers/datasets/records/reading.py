"""Reads the checked images of a dataset from its TFRecord shards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from trainers.datasets.records.checked_image import CheckedImage, decode
from trainers.datasets.records.tfrecords import CorruptRecord, read_record, record_locations
from trainers.errors import UserError


def encoded_examples(files: Iterable[Path]) -> Iterator[bytes]:
    """The tf.train.Examples of a dataset's shards. Raises UserError when one has been changed since it was opened."""
    for path in files:
        with path.open("rb") as file:
            for place in record_locations(path):
                try:
                    if isinstance(place, CorruptRecord):
                        raise place
                    yield read_record(file, place)
                except CorruptRecord as error:
                    raise UserError(f"{path}: {error}; delete its folder to convert anew") from None


def read_selected_images(files: Iterable[Path], positions: Collection[int]) -> Iterator[CheckedImage]:
    """The records at these positions, counted from 0 over all files; the others are not read."""
    every = ((path, place) for path in files for place in record_locations(path))
    for position, (path, place) in enumerate(every):
        if position in positions:
            with path.open("rb") as file:
                try:
                    if isinstance(place, CorruptRecord):
                        raise place
                    yield decode(read_record(file, place))
                except CorruptRecord as error:
                    raise UserError(f"{path}: {error}; delete its folder to convert anew") from None


def read_images(files: Iterable[Path]) -> Iterator[CheckedImage]:
    """The records of a dataset's shards. Raises UserError as `encoded_records` does."""
    return map(decode, encoded_examples(files))
