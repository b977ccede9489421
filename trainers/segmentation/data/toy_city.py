"""The toy city with a mask for each scene, so that a search of this task works without data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2

from trainers.datasets.cache import build_once
from trainers.datasets.dataset import Dataset
from trainers.datasets.problems import Problems
from trainers.datasets.toy_city import TOY_CITY
from trainers.datasets.toy_city.generating import folder_name
from trainers.datasets.toy_city.naming import name_of, parse_city
from trainers.datasets.toy_city.pictures import picture_with_mask
from trainers.datasets.toy_city.scenes import ToyCity
from trainers.segmentation.data.masked_image import MaskedImage
from trainers.segmentation.data.storing import store

STREET = "street"  # the class of all that is no road user
_JPEG_QUALITY = 90


def open_toy_city(source: str | None, cache: Path, on_progress: Callable[[str], None]) -> Dataset:
    """The dataset of the toy city that `source` names, generated in `cache` if it is not there yet."""
    city = parse_city(source)

    def build(folder: Path) -> Dataset:
        on_progress(f"drawing a toy city of {city.train_images} + {city.validation_images} images with masks")
        name = name_of(city)
        return store(_scenes(city), (STREET, *city.classes), TOY_CITY, name, folder, Problems(name))

    return build_once(cache, f"{folder_name(city)}-masks", build)


def _scenes(city: ToyCity) -> Iterator[tuple[str | None, MaskedImage]]:
    for part in ("train", "validation"):
        for number in range(city.images(part)):
            pixels, mask = picture_with_mask(city, part, number)
            encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
            yield part, MaskedImage(f"{part}-{number:05d}.jpg", encoded, "jpeg", mask)
