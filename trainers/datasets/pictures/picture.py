"""Reads an encoded picture far enough to know that TensorFlow decodes it; encodes anew what it would not."""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL import TiffImagePlugin as _tiff  # noqa: F401 - these two formats are known once they are imported
from PIL import WebPImagePlugin as _webp  # noqa: F401

from trainers.datasets.pictures.jpeg import CorruptJpeg, plain_jpeg

_ORIENTATION = 0x0112  # the EXIF tag
_JPEG_QUALITY = 95
_LARGEST = 50_000_000  # pixels; more would need gigabytes in training
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")  # a JPEG of several pictures opens as "MPO"


class BadPicture(Exception):
    """The bytes are no picture that can be trained on; the message says why."""


@dataclass(frozen=True)
class Picture:
    """A picture that TensorFlow decodes to what a person sees.

    data: JPEG or PNG, 8-bit, grey or colour. format: "jpeg" or "png". width, height: pixels.
    encoded_anew: why `data` is not what was read; empty when it is.
    """

    data: bytes
    format: str
    width: int
    height: int
    reencoded: str = ""


def read_picture(data: bytes, stated_size: tuple[int, int] | None, turned_by_default: bool) -> Picture:
    """The picture in `data`. Raises BadPicture.

    stated_size: (width, height) that labels give, which decides whether an EXIF turn is followed; None for
        unknown.
    """
    try:
        plain = plain_jpeg(data)
        if plain and not plain.exif and plain.width * plain.height <= _LARGEST:
            return Picture(data, "jpeg", plain.width, plain.height)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=_FORMATS) as image:
                return _read(data, image, plain is not None, stated_size, turned_by_default)
    except CorruptJpeg as error:
        raise BadPicture(f"a corrupt JPEG: {error}") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise BadPicture(_reason(data, error)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture("larger than any camera's picture") from None


def _reason(data: bytes, error: Exception) -> str:
    if not data:
        return "an empty file"
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known format"
    return " ".join(str(error).split()) or type(error).__name__


def _read(
    data: bytes, image: Image.Image, whole: bool, stated_size: tuple[int, int] | None, turned_by_default: bool
) -> Picture:
    width, height = image.size
    if width * height > _LARGEST:
        raise BadPicture(f"{width}x{height} px are more than {_LARGEST / 1e6:.0f} million; make it smaller")
    orientation = image.getexif().get(_ORIENTATION, 1) if "exif" in image.info else 1
    turn = orientation in range(2, 9) and _labels_are_turned(
        orientation, image.size, stated_size, turned_by_default
    )
    reason = "turned as its EXIF says, as its labels are" if turn else _needs_encoding(data, image)
    if reason:
        return _encoded(image, turn, reason)
    if image.format == "PNG":
        _check_chunks(data)
    if not whole:
        image.draft(None, (1, 1))  # of a JPEG an eighth of the size: every code is read, few pixels are made
        image.load()
    return Picture(data, "png" if image.format == "PNG" else "jpeg", width, height)


def _check_chunks(data: bytes) -> None:
    """Raise BadPicture unless every chunk of a PNG has its checksum, as TensorFlow demands and Pillow does not."""
    at = 8
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + length
        if int.from_bytes(data[end : end + 4], "big") != zlib.crc32(data[at + 4 : end]) or end + 4 > len(
            data
        ):
            raise BadPicture(f"a corrupt PNG: wrong checksum in the chunk at byte {at}")
        if kind == b"IEND":
            return
        at = end + 4
    raise BadPicture("a PNG that is cut off")


def _labels_are_turned(
    orientation: int, size: tuple[int, int], stated: tuple[int, int] | None, turned_by_default: bool
) -> bool:
    swaps = orientation >= 5
    if stated is None or not swaps or size[0] == size[1]:
        return turned_by_default
    return stated == (size[1], size[0])


def _needs_encoding(data: bytes, image: Image.Image) -> str:
    if image.format in ("JPEG", "MPO"):
        return "" if image.mode in ("L", "RGB") else f"a {image.mode} JPEG"
    if image.format == "PNG":
        bits = data[24]  # of the IHDR chunk, which is first
        if bits == 16:
            return "16 bits a channel"
        return (
            ""
            if image.mode in ("L", "RGB") and "transparency" not in image.info
            else f"a PNG in mode {image.mode}"
        )
    return f"{image.format} instead of JPEG or PNG"


def _encoded(image: Image.Image, turn: bool, reason: str) -> Picture:
    lossless = image.format in ("PNG", "BMP", "TIFF", "GIF")
    upright = ImageOps.exif_transpose(image) if turn else image
    if upright.mode.startswith("I"):  # Pillow's own conversion would cut at 255
        grey = np.asarray(upright).astype(np.int64)
        upright = Image.fromarray((grey >> 8 if grey.max(initial=0) > 255 else grey).astype(np.uint8))
    plain = upright.convert("L" if upright.mode in ("1", "L", "LA") else "RGB")
    file = BytesIO()
    if lossless:
        plain.save(file, "PNG")
    else:
        plain.save(file, "JPEG", quality=_JPEG_QUALITY)
    return Picture(file.getvalue(), "png" if lossless else "jpeg", plain.width, plain.height, reason)
