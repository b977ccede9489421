"""Necks, one module each. To add one, add a module that registers a Neck, and its name here."""

from trainers.object_detection_api.pyramid.necks.neck import Neck
from trainers.object_detection_api.pyramid.parts import Parts

NAMES = ("fpn", "fpg")
NECKS: Parts[Neck] = Parts("neck", tuple(f"{__name__}.{name}" for name in NAMES))
