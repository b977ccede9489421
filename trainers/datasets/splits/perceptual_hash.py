"""Perceptual hashes: 64 bits of an image that change little when the image does."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainers.datasets.labelled_image import Stored
from trainers.datasets.records.tfrecords import CorruptRecord

NEAR_IDENTICAL = (
    4  # bits; neighbouring frames of a slow video differ in fewer, unrelated photographs in 20 to 40
)
_SIDE = 32  # pixels; the transform's low frequencies, 8 x 8 of them, make the bits
# the first eight rows of the cosine transform (DCT-II); SciPy's needs a second to import
_COSINES = np.cos(np.pi / _SIDE * np.outer(np.arange(8), np.arange(_SIDE) + 0.5))
_COSINES[0] /= np.sqrt(2)


def perceptual_hash(data: bytes) -> NDArray[np.bool_] | None:
    """The hash of an encoded image, bool [64]; None if it cannot be decoded.

    The low frequencies of the cosine transform of the grey image, each compared with their median: "pHash" in
    C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), section 3.2.1.
    """
    try:
        with Image.open(BytesIO(data)) as image:
            image.draft("L", (2 * _SIDE, 2 * _SIDE))  # a JPEG is then decoded at a fraction of its size
            return _hash(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def pixel_hash(pixels: NDArray[np.uint8]) -> int:
    """The hash of (H, W, 3) RGB pixels as a number of 64 bits; that of their file may differ in a few bits."""
    small = Image.fromarray(pixels).reduce(max(1, min(pixels.shape[:2]) // (2 * _SIDE)))
    return _number(_hash(small))


def _hash(image: Image.Image) -> NDArray[np.bool_]:
    grey = np.asarray(image.convert("L").resize((_SIDE, _SIDE)), float)
    low = (_COSINES @ grey @ _COSINES.T).ravel()
    return np.asarray(low > np.median(low))


def _number(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hash_of(stored: Stored) -> int | None:
    """The hash of an image as a number, of whose bits those count that differ; None if it cannot be read."""
    try:
        return hash_number(stored.read())
    except (OSError, CorruptRecord):  # the conversion reports it
        return None


def hash_number(data: bytes) -> int | None:
    """The hash of an encoded image as a number of 64 bits; None if it cannot be decoded."""
    bits = perceptual_hash(data)
    return None if bits is None else _number(bits)


def distances(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The number of bits in which each pair of hashes differs: bool [n, 64] and [m, 64] give int64 [n, m]."""
    first, second = one.astype(np.float32), other.astype(np.float32)
    equal = first @ second.T + (1 - first) @ (1 - second).T
    return np.asarray(np.rint(one.shape[1] - equal), np.int64)
