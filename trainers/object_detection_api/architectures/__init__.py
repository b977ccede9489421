"""Adapters of the API's meta-architectures: all code that depends on which one a detector has."""

from __future__ import annotations

from typing import Any

from trainers.object_detection_api.architectures.architecture import Architecture
from trainers.object_detection_api.architectures.faster_rcnn import FasterRCNN
from trainers.object_detection_api.architectures.ssd import SSD
from trainers.object_detection_api.pyramid.architecture import Pyramid
from trainers.object_detection_api.pyramid.structure import is_structure

# keys: the names of the fields of the `DetectionModel` proto
ARCHITECTURES: dict[str, Architecture] = {"ssd": SSD(), "faster_rcnn": FasterRCNN()}
_PYRAMID = Pyramid()


def of(config: Any) -> Architecture:
    """The adapter for a `model_pb2.DetectionModel`."""
    kind = config.WhichOneof("model")
    if kind == "ssd" and is_structure(config.ssd.feature_extractor.type):
        return _PYRAMID
    return ARCHITECTURES[kind]
