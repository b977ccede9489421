"""Backbones, one module each. To add one, add a module that registers a Backbone, and its name here."""

from trainers.object_detection_api.pyramid.backbones.backbone import Backbone
from trainers.object_detection_api.pyramid.parts import Parts

NAMES = (
    "mobilenet_v2", "resnet50", "resnet101", "resnext101",
    "convnext_tiny", "convnext_small", "convnext_base", "convnext_large",
)  # fmt: skip
BACKBONES: Parts[Backbone] = Parts("backbone", tuple(f"{__name__}.{name}" for name in NAMES))
