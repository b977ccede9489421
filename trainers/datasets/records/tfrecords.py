"""The TFRecord container: records of bytes with lengths and checksums, without TensorFlow.

Layout (tensorflow/core/lib/io/record_writer.h): uint64 length, uint32 masked CRC-32C of it, the bytes,
uint32 masked CRC-32C of them; little-endian.
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
LARGEST = 1 << 30  # bytes; a longer record is a corrupt length


class CorruptRecord(Exception):
    """A record that cannot be trusted; the message says why."""


@dataclass(frozen=True)
class RecordLocation:
    """Where a record lies in its file: `offset` of its bytes, and their number."""

    offset: int
    length: int


def _masked(data: bytes) -> int:
    """The CRC-32C as a TFRecord stores it: rotated and shifted, for checksums of checksums."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def write_record(file: BinaryIO, data: bytes) -> None:
    """Append one record."""
    length = struct.pack("<Q", len(data))
    file.write(length + _FOOT.pack(_masked(length)))
    file.write(data)
    file.write(_FOOT.pack(_masked(data)))


def record_locations(path: Path) -> Iterator[RecordLocation | CorruptRecord]:
    """Every record of a file, by lengths alone; ends with a CorruptRecord where they lead nowhere."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at < size:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                yield CorruptRecord(f"cut off at byte {at}")
                return
            length, checksum = _HEAD.unpack(head)
            if checksum != _masked(head[:8]) or length > LARGEST:
                yield CorruptRecord(f"not a TFRecord, or corrupt, at byte {at}")
                return
            start = at + _HEAD.size
            at = start + length + _FOOT.size
            if at > size:
                yield CorruptRecord(f"its last record is cut off, at byte {start}")
                return
            yield RecordLocation(start, length)
            file.seek(at)


def read_record(file: BinaryIO, place: RecordLocation) -> bytes:
    """The bytes of a record. Raises CorruptRecord when they are not what was written."""
    file.seek(place.offset)
    data = file.read(place.length)
    foot = file.read(_FOOT.size)
    if len(data) < place.length or len(foot) < _FOOT.size:
        raise CorruptRecord(f"the record at byte {place.offset} is cut off")
    if _FOOT.unpack(foot)[0] != _masked(data):
        raise CorruptRecord(f"the record at byte {place.offset} is corrupt (wrong checksum)")
    return data


class TFRecordWriter:
    """A TFRecord file being written; on the disk for good when the `with` block ends."""

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
