"""Heads, one module each. To add one, add a module that registers a Head, and its name here."""

from trainers.object_detection_api.pyramid.heads.head import Head
from trainers.object_detection_api.pyramid.parts import Parts

NAMES = ("retina", "free_anchor", "pisa")
LOSSES = f"{__name__}.losses"  # the folder of their functions
HEADS: Parts[Head] = Parts("head", tuple(f"{__name__}.{name}" for name in NAMES))
