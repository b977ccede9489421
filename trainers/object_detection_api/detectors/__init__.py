"""The detectors: one module each, with the published configuration. To add one, add a module and its name here."""

import importlib

DETECTORS = ("retinanet", "mobilenet", "efficientdet", "faster_rcnn", "retinanet_family")

for _name in DETECTORS:
    importlib.import_module(f"{__name__}.{_name}")
