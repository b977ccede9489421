"""Reads and writes TFRecord files, a sequence of byte strings with checksums, without TensorFlow.

Layout of a record (tensorflow/core/lib/io/record_writer.h), little-endian: uint64 length, uint32 masked CRC-32C of
the length, the bytes, uint32 masked CRC-32C of the bytes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import google_crc32c

_HEAD = struct.Struct("<QI")
_FOOT = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8  # tensorflow/core/lib/hash/crc32c.h
_BUFFER = 1 << 18  # bytes
LARGEST = 1 << 30  # bytes; a greater length is taken as corrupt


class CorruptRecord(Exception):
    """A record is damaged; the message says how."""


@dataclass(frozen=True)
class RecordLocation:
    """The byte offset and length of a record's data in its file."""

    offset: int
    length: int


def _masked(data: bytes) -> int:
    """The masked CRC-32C of `data`: rotated and offset, as TFRecord files store it."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def write_record(file: BinaryIO, data: bytes) -> None:
    """Append one record."""
    length = struct.pack("<Q", len(data))
    file.write(length + _FOOT.pack(_masked(length)))
    file.write(data)
    file.write(_FOOT.pack(_masked(data)))


def record_locations(path: Path) -> Iterator[RecordLocation | CorruptRecord]:
    """Locate every record of a file by reading the lengths only. Ends with a CorruptRecord if the file is damaged."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at < size:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                yield CorruptRecord(f"truncated at byte {at}")
                return
            length, checksum = _HEAD.unpack(head)
            if checksum != _masked(head[:8]) or length > LARGEST:
                yield CorruptRecord(f"not a TFRecord file, or corrupt, at byte {at}")
                return
            start = at + _HEAD.size
            at = start + length + _FOOT.size
            if at > size:
                yield CorruptRecord(f"the last record, at byte {start}, is truncated")
                return
            yield RecordLocation(start, length)
            file.seek(at)


def read_record(file: BinaryIO, place: RecordLocation) -> bytes:
    """The data of a record. Raises CorruptRecord if it is truncated or its checksum is wrong."""
    file.seek(place.offset)
    data = file.read(place.length)
    foot = file.read(_FOOT.size)
    if len(data) < place.length or len(foot) < _FOOT.size:
        raise CorruptRecord(f"the record at byte {place.offset} is truncated")
    if _FOOT.unpack(foot)[0] != _masked(data):
        raise CorruptRecord(f"the record at byte {place.offset} is corrupt (wrong checksum)")
    return data


class TFRecordWriter:
    """Writes a TFRecord file; synced to disk at the end of the `with` block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = 0
        self._file = path.open("wb", buffering=_BUFFER)

    def __enter__(self) -> TFRecordWriter:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())

    def write(self, data: bytes) -> None:
        """Append one record."""
        write_record(self._file, data)
        self.records += 1
