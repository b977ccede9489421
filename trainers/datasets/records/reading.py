"""Reads the checked images of a dataset from its TFRecord shards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from trainers.datasets.records.checked_image import CheckedImage, decode
from trainers.datasets.records.tfrecords import CorruptRecord, read_record, record_locations
from trainers.errors import UserError


def encoded_examples(files: Iterable[Path]) -> Iterator[bytes]:
    """The serialised tf.train.Examples in TFRecord `files`. Raises UserError if a record is damaged."""
    for path in files:
        with path.open("rb") as file:
            for place in record_locations(path):
                try:
                    if isinstance(place, CorruptRecord):
                        raise place
                    yield read_record(file, place)
                except CorruptRecord as error:
                    raise UserError(f"{path}: {error}; delete its folder to convert again") from None


def selected_examples(files: Iterable[Path], positions: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """The positions, ascending, and the serialised tf.train.Examples there; positions count from 0 over all files.

    Of the others, only the lengths are read. Raises UserError if a record is damaged.
    """
    every = ((path, place) for path in files for place in record_locations(path))
    for position, (path, place) in enumerate(every):
        if position in positions:
            with path.open("rb") as file:
                try:
                    if isinstance(place, CorruptRecord):
                        raise place
                    yield position, read_record(file, place)
                except CorruptRecord as error:
                    raise UserError(f"{path}: {error}; delete its folder to convert again") from None


def read_selected_images(files: Iterable[Path], positions: Collection[int]) -> Iterator[CheckedImage]:
    """The images at these positions, counted from 0 over all files. Raises UserError if one is damaged."""
    return (decode(data) for _, data in selected_examples(files, positions))


def read_images(files: Iterable[Path]) -> Iterator[CheckedImage]:
    """The images in TFRecord `files`. Raises UserError if a record is damaged."""
    return map(decode, encoded_examples(files))
