"""Generates a toy city as a dataset: draws its scenes, encodes them as JPEG and writes them to TFRecord files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from trainers.datasets.cache import build_once
from trainers.datasets.dataset import Dataset, Part
from trainers.datasets.label_map import write_label_map
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.fingerprint import Fingerprint
from trainers.datasets.records.tfrecords import TFRecordWriter
from trainers.datasets.toy_city import TOY_CITY
from trainers.datasets.toy_city.naming import name_of
from trainers.datasets.toy_city.pictures import picture
from trainers.datasets.toy_city.scenes import ToyCity

_JPEG_QUALITY = 90
_VERSION = 1  # of the drawing; cities of other versions in the cache are ignored


def folder_name(city: ToyCity) -> str:
    """The name of this city's folder in a cache."""
    settings = json.dumps([_VERSION, city.model_dump(mode="json")], sort_keys=True)
    return f"toy-city-{hashlib.sha256(settings.encode()).hexdigest()[:12]}"


def labelled_scene(city: ToyCity, part: str, number: int) -> CheckedImage:
    """Scene `number` of `part`, drawn and labelled. The same arguments always give the same image."""
    pixels, users = picture(city, part, number)
    height, width = pixels.shape[:2]
    encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    boxes = np.array([box for _, box in users], np.float32).reshape(-1, 4)
    return CheckedImage(
        name=f"{part}-{number:05d}.jpg",
        image=encoded.tobytes(),
        format="jpeg",
        width=width,
        height=height,
        boxes=(boxes / [height, width, height, width]).astype(np.float32),
        labels=tuple(city.classes.index(kind) + 1 for kind, _ in users),
        difficult=(False,) * len(users),
        crowd=(False,) * len(users),
    )


def open_toy_city(city: ToyCity, cache: Path, on_progress: Callable[[str], None] = lambda _: None) -> Dataset:
    """The dataset of this city, generated in `cache` if it is not there yet."""

    def build(folder: Path) -> Dataset:
        on_progress(f"drawing a toy city of {city.train_images} + {city.validation_images} images")
        return generate(city, folder)

    return build_once(cache, folder_name(city), build)


def generate(city: ToyCity, folder: Path) -> Dataset:
    """Draw all scenes and write them to `folder`: one TFRecord file for each part, and a label map."""
    parts: dict[str, Part] = {}
    fingerprint = Fingerprint()
    for part in ("train", "validation"):
        with TFRecordWriter(folder / f"{part}.tfrecord-00000-of-00001") as shard:
            for number in range(city.images(part)):
                drawn = labelled_scene(city, part, number)
                shard.write(drawn.encode(city.classes))
                fingerprint.add(part, drawn)
        parts[part] = Part((shard.path,), shard.records)
    write_label_map(folder / "label_map.pbtxt", city.classes)
    return Dataset(
        name=TOY_CITY,
        source=name_of(city),
        classes=city.classes,
        train=parts["train"],
        validation=parts["validation"],
        fingerprint=fingerprint.value(city.classes),
        notes=("generated scenes, not photographs: good for trying the search, not for a detector in use",),
    )
