"""Resets the orientation that a JPEG or PNG states in its EXIF or XMP data to 1, "as stored"; no pixel changes.

Segments are those of ITU-T T.81, annex B, chunks those of the PNG specification; EXIF data is a TIFF file.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

_ORIENTATION = 0x0112
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_STATED = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>)\s*)[2-8]""")
_ENTRY = 12  # bytes of an entry of a TIFF directory
_START_OF_SCAN, _END_OF_IMAGE, _APP1 = 0xDA, 0xD9, 0xE1


def as_stored(data: bytes) -> bytes:
    """The encoded image, which every program shows as its pixels are stored; `data` itself if it is one already."""
    png = data.startswith(b"\x89PNG\r\n\x1a\n")
    changed = bytearray(data)
    for start, end in _chunks(data) if png else _segments(data):
        body = data[start:end]
        upright = _upright_chunk(body) if png else _upright_segment(body)
        if upright != body:
            changed[start:end] = upright
            if png:  # a chunk ends with a checksum of its kind and its content
                changed[end : end + 4] = struct.pack(">I", zlib.crc32(upright))
    return bytes(changed) if changed != data else data


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """The start and the end of each APP1 segment of a JPEG, without its marker and length."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            return
        if marker == 0xFF:  # a filler
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _APP1:
            yield at + 4, end
        at = end


def _chunks(data: bytes) -> Iterator[tuple[int, int]]:
    """The start and the end of each chunk of a PNG that may state an orientation: its kind and its content."""
    at = 8
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] in (b"eXIf", b"iTXt"):
            yield at + 4, end
        at = end + 4


def _upright_segment(body: bytes) -> bytes:
    if body.startswith(_EXIF):
        return _EXIF + _upright_tiff(body[len(_EXIF) :])
    return _STATED.sub(rb"\g<1>1", body) if body.startswith(_XMP) else body


def _upright_chunk(body: bytes) -> bytes:
    if body.startswith(b"eXIf"):
        return body[:4] + _upright_tiff(body[4:])
    return _STATED.sub(rb"\g<1>1", body) if body[4:].startswith(_XMP_KEYWORD) else body


def _upright_tiff(tiff: bytes) -> bytes:
    """EXIF data with orientation 1, if it states one; unchanged if it is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 10:
        return tiff
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    if directory + 2 > len(tiff):
        return tiff
    (count,) = struct.unpack_from(f"{order}H", tiff, directory)
    changed = bytearray(tiff)
    for entry in range(directory + 2, min(directory + 2 + count * _ENTRY, len(tiff) - _ENTRY + 1), _ENTRY):
        if struct.unpack_from(f"{order}H", tiff, entry)[0] == _ORIENTATION:
            struct.pack_into(f"{order}HIHH", changed, entry + 2, 3, 1, 1, 0)  # one SHORT, 1
    return bytes(changed)
