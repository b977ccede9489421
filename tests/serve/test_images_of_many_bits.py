"""Serving reads an image as training does, with any number of bits."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from serve.images import decode_image
from serve.jobs.limits import NO_LIMITS
from trainers.datasets.pictures.picture import read_picture

RAMP = np.linspace(2000, 60_000, 64 * 48).reshape(48, 64)
IMAGES = {
    "16 bits, PNG": (RAMP.astype(np.uint16), "PNG"),
    "16 bits, TIFF": (RAMP.astype(np.uint16), "TIFF"),
    "32 bits, TIFF": (RAMP.astype(np.int32), "TIFF"),
    "more than 16 of 32 bits": ((RAMP * (1 << 15)).astype(np.int32), "TIFF"),
    "floats up to 1": ((RAMP / 65_536).astype(np.float32), "TIFF"),
    "floats up to 255": ((RAMP / 256).astype(np.float32), "TIFF"),
    "8 bits": ((RAMP / 256).astype(np.uint8), "PNG"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_read_as_in_training(name):
    values, kind = IMAGES[name]
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    served = decode_image(buffer.getvalue(), NO_LIMITS)
    trained = Image.open(io.BytesIO(read_picture(buffer.getvalue(), None, True).data)).convert("RGB")
    np.testing.assert_array_equal(served, np.asarray(trained))
    expected = 127 if name.startswith("more") else 256
    assert served.shape == (48, 64, 3)
    np.testing.assert_allclose(served[..., 0], RAMP / 65_536 * expected, atol=2)


def test_values_that_are_not_numbers_are_black():
    buffer = io.BytesIO()
    Image.fromarray(np.full((20, 20), np.nan, np.float32)).save(buffer, "TIFF")
    assert decode_image(buffer.getvalue(), NO_LIMITS).max() == 0
