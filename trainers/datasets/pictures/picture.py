"""Verifies that TensorFlow can decode an image, and re-encodes it if TensorFlow would misread it."""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL import TiffImagePlugin as _tiff  # noqa: F401 - the import registers the format, as for WebP
from PIL import WebPImagePlugin as _webp  # noqa: F401

from trainers.datasets.pictures.jpeg import CorruptJpeg, plain_jpeg

_ORIENTATION = 0x0112  # EXIF tag
_JPEG_QUALITY = 95
_LARGEST = 50_000_000  # pixels; more would need gigabytes in training
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")  # a JPEG of several pictures opens as "MPO"


class BadPicture(Exception):
    """The bytes are not an image that can be trained on; the message says why."""


@dataclass(frozen=True)
class Picture:
    """An encoded image that TensorFlow decodes as other programs do.

    data: JPEG or PNG, 8 bits a channel, grey or RGB. format: "jpeg" or "png". width, height: pixels.
    reencoded: why the image was re-encoded; empty if `data` is unchanged.
    """

    data: bytes
    format: str
    width: int
    height: int
    reencoded: str = ""


def read_picture(data: bytes, stated_size: tuple[int, int] | None, rotated_by_default: bool) -> Picture:
    """Verify the encoded image `data`. Raises BadPicture if it is unusable.

    stated_size: (width, height) in pixels as stated in the labels; decides whether EXIF rotation is applied.
    rotated_by_default: whether it is applied if `stated_size` is None or fits both ways.
    """
    try:
        plain = plain_jpeg(data)
        if plain and not plain.exif and plain.width * plain.height <= _LARGEST:
            return Picture(data, "jpeg", plain.width, plain.height)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=_FORMATS) as image:
                return _read(data, image, plain is not None, stated_size, rotated_by_default)
    except CorruptJpeg as error:
        raise BadPicture(f"corrupt JPEG: {error}") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise BadPicture(_reason(data, error)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture("too many pixels") from None


def _reason(data: bytes, error: Exception) -> str:
    if not data:
        return "empty file"
    if isinstance(error, UnidentifiedImageError):
        return "not an image in a supported format"
    return " ".join(str(error).split()) or type(error).__name__


def _read(
    data: bytes,
    image: Image.Image,
    whole: bool,
    stated_size: tuple[int, int] | None,
    rotated_by_default: bool,
) -> Picture:
    width, height = image.size
    if width * height > _LARGEST:
        raise BadPicture(f"{width}x{height} px exceed the limit of {_LARGEST / 1e6:.0f} million; resize it")
    orientation = image.getexif().get(_ORIENTATION, 1) if "exif" in image.info else 1
    turn = orientation in range(2, 9) and _labels_are_turned(
        orientation, image.size, stated_size, rotated_by_default
    )
    reason = "EXIF rotation applied, as in its labels" if turn else _needs_encoding(data, image)
    if reason:
        return _encoded(image, turn, reason)
    if image.format == "PNG":
        _check_chunks(data)
    if not whole:
        image.draft(None, (1, 1))  # decode a JPEG at 1/8 scale: reads all of its data, but is faster
        image.load()
    return Picture(data, "png" if image.format == "PNG" else "jpeg", width, height)


def _check_chunks(data: bytes) -> None:
    """Raise BadPicture if a chunk of a PNG has a wrong checksum, which TensorFlow refuses and Pillow accepts."""
    at = 8
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + length
        if int.from_bytes(data[end : end + 4], "big") != zlib.crc32(data[at + 4 : end]) or end + 4 > len(
            data
        ):
            raise BadPicture(f"corrupt PNG: wrong checksum in the chunk at byte {at}")
        if kind == b"IEND":
            return
        at = end + 4
    raise BadPicture("truncated PNG")


def _labels_are_turned(
    orientation: int, size: tuple[int, int], stated: tuple[int, int] | None, rotated_by_default: bool
) -> bool:
    swaps = orientation >= 5
    if stated is None or not swaps or size[0] == size[1]:
        return rotated_by_default
    return stated == (size[1], size[0])


def _needs_encoding(data: bytes, image: Image.Image) -> str:
    if image.format in ("JPEG", "MPO"):
        return "" if image.mode in ("L", "RGB") else f"{image.mode} JPEG"
    if image.format == "PNG":
        bits = data[24]  # bit depth in the IHDR chunk, which comes first
        if bits == 16:
            return "16 bits a channel"
        return (
            ""
            if image.mode in ("L", "RGB") and "transparency" not in image.info
            else f"PNG in mode {image.mode}"
        )
    return f"{image.format} instead of JPEG or PNG"


def rgb(image: Image.Image) -> np.ndarray:
    """An opened image -> (H, W, 3) uint8 RGB as training sees it, turned upright by its EXIF orientation."""
    return np.asarray(_plain(image, turn=True).convert("RGB"))


def _plain(image: Image.Image, turn: bool) -> Image.Image:
    """The image with 8 bits a channel, grey or RGB."""
    upright = ImageOps.exif_transpose(image) if turn else image
    if upright.mode.startswith(("I", "F")):  # 16 or 32 bits; Pillow's own conversion would clip at 255
        upright = Image.fromarray(_eight_bits(np.asarray(upright)))
    return upright.convert("L" if upright.mode in ("1", "L", "LA") else "RGB")


def _eight_bits(grey: np.ndarray) -> np.ndarray:
    """Grey values of any type -> uint8: those up to 255 stay, more bits are cut off, and 0 to 1 becomes 0 to 255."""
    values = np.nan_to_num(grey.astype(np.float64))
    most = values.max(initial=0.0)
    if np.issubdtype(grey.dtype, np.floating) and most <= 1.0:
        values *= 255
    elif most > 255:
        values /= 256 if most < 1 << 16 else 1 << 24
    return values.clip(0, 255).astype(np.uint8)


def _encoded(image: Image.Image, turn: bool, reason: str) -> Picture:
    lossless = image.format in ("PNG", "BMP", "TIFF", "GIF")
    plain = _plain(image, turn)
    file = BytesIO()
    if lossless:
        plain.save(file, "PNG")
    else:
        plain.save(file, "JPEG", quality=_JPEG_QUALITY)
    return Picture(file.getvalue(), "png" if lossless else "jpeg", plain.width, plain.height, reason)
