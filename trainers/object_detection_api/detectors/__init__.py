"""The detectors: one module each, with its published configuration. A new one is a module and a name in DETECTORS."""

import importlib

DETECTORS = ("retinanet", "mobilenet", "efficientdet")

for _name in DETECTORS:
    importlib.import_module(f"{__name__}.{_name}")
