"""What tests of pictures share: encode one, read it as a conversion does, see its pixels."""

from io import BytesIO

import numpy as np
from PIL import Image

from trainers.datasets.pictures.picture import Picture, read_picture


def read(data: bytes, size=None, turned=False) -> Picture:
    return read_picture(data, size, turned)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
