"""Decodes images that nobody vouches for."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from serve.errors import Refused
from serve.jobs.limits import Limits
from serve.video.opening import check_size

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


def decoded(data: bytes, limits: Limits) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright. Raises Refused: 422 for no image, 413 for one too large, before it is unpacked."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; our own limit is checked below
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            check_size(*image.size, limits)
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Refused:
        raise
    except UnidentifiedImageError:
        raise Refused(422, f"not an image; {', '.join(FORMATS)} are taken") from None
    except Image.DecompressionBombError:
        raise Refused(413, "the image is too large") from None
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise almost anything for damaged files
        raise Refused(422, f"the image is damaged ({type(error).__name__})") from None
