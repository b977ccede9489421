"""Reads images: untrusted bytes from HTTP requests, and files or arrays from a Python caller."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from serve.errors import Refused
from serve.jobs.limits import NO_LIMITS, Limits
from serve.video.opening import check_size
from trainers.datasets.pictures.picture import rgb
from trainers.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


def decode_image(data: bytes, limits: Limits) -> np.ndarray:
    """Encoded image -> (H, W, 3) uint8 RGB, converted as for training and turned upright by its EXIF orientation.

    Raises Refused: 422 if it is not a readable image, 413 if it is too large (checked before decompression).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about large images; check_size enforces our limit
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            check_size(*image.size, limits)
            return rgb(image)
    except Refused:
        raise
    except UnidentifiedImageError:
        raise Refused(422, f"not an image; supported formats: {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise Refused(413, "the image is too large") from None
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise almost anything on damaged files
        raise Refused(422, f"the image is damaged ({type(error).__name__})") from None


def pixels(data: bytes) -> int:
    """Width times height that an encoded image declares; 0 if it is not an image. Decodes nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            width, height = Image.open(io.BytesIO(data), formats=FORMATS).size
    except Exception:  # noqa: BLE001 - decode_image says what is wrong with it
        return 0
    return width * height


def as_image(image: object) -> np.ndarray:
    """An (H, W, 3) uint8 RGB array, or the path of an image file -> the array. Raises UserError for anything else."""
    if isinstance(image, str | Path):
        path = Path(image)
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        try:
            return decode_image(path.read_bytes(), NO_LIMITS)
        except Refused as error:
            raise UserError(f"{path}: {error.detail}") from None
    if not isinstance(image, np.ndarray):
        raise UserError(f"an image must be an array or a path, not {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise UserError(
            f"an image array must be (H, W, 3) uint8 RGB, not {'x'.join(map(str, image.shape))} {image.dtype}"
        )
    return image
