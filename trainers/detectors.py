"""The detectors that a Recipe may name. A detector is one module that registers itself here."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from trainers.errors import UserError

# Importing one of these registers its detector; none of them imports TensorFlow.
MODULES = (
    "trainers.object_detection_api.detectors.retinanet",
    "trainers.object_detection_api.detectors.mobilenet",
    "trainers.object_detection_api.detectors.efficientdet",
)


@dataclass(frozen=True)
class Detector:
    """What is known of a detector before anything is built.

    name: the word a recipe and `--space` use.
    title: the name people publish it under.
    min_image_size: pixels; the smallest square input that its feature pyramid can take.
    image_size_multiple: pixels; the input's side must be a multiple of it.
    model_config: given the number of classes and the image size in pixels, the text of its DetectionModel
        proto with the zoo's settings.
    zoo_archive: file name, without `.tar.gz`, of its COCO checkpoint in the TensorFlow 2 detection model zoo.
    zoo_variables: how many variables that checkpoint holds, the save counter included.
    zoo_digest: sha256 of their names and shapes (`trainers.object_detection_api.checkpoints.weights.digest`).
    zoo_defaults: Recipe fields of the zoo's published training at 640 px (batch, steps, optimizer, ...).
    laptop_defaults: Recipe fields with which it learns from scratch in minutes on a CPU.
    """

    name: str
    title: str
    min_image_size: int
    image_size_multiple: int
    model_config: Callable[[int, int], str]
    zoo_archive: str
    zoo_variables: int
    zoo_digest: str
    zoo_defaults: Mapping[str, Any]
    laptop_defaults: Mapping[str, Any]

    def check_image_size(self, size: int) -> None:
        """Raise ValueError, with the nearest sizes that work, when the detector cannot take `size` pixels."""
        multiple, smallest = self.image_size_multiple, self.min_image_size
        if size >= smallest and size % multiple == 0:
            return
        below = size // multiple * multiple
        near = [s for s in (below, below + multiple) if s >= smallest] or [
            -(-smallest // multiple) * multiple
        ]
        rule = f"at least {smallest} px" + (f" and a multiple of {multiple}" if multiple > 1 else "")
        raise ValueError(
            f"{self.name} needs an image size of {rule}, not {size}; try {' or '.join(map(str, near))}"
        )


_registered: dict[str, Detector] = {}


def register(detector: Detector) -> Detector:
    """Make `detector` known by its name and return it."""
    _registered[detector.name] = detector
    return detector


def all_detectors() -> Mapping[str, Detector]:
    """Every registered detector by name, in the order of MODULES."""
    for module in MODULES:
        importlib.import_module(module)
    return MappingProxyType(_registered)


def get(name: str) -> Detector:
    """The detector called `name`. Raises UserError, with the known names, when there is none."""
    known = all_detectors()
    if name not in known:
        raise UserError(f"unknown detector '{name}'; known are {', '.join(known)}")
    return known[name]
