"""What can run an export: one module a backend, known by its name. A deployment chooses among them (choosing.py)."""

from __future__ import annotations

import importlib

from serve.backends.backend import Backend
from trainers.detection.export import Export
from trainers.errors import UserError

# name -> class; a module is imported when its backend is used, for each brings a runtime of its own
REGISTERED = {
    "openvino": "serve.backends.openvino:OpenVino",
    "tensorflow": "serve.backends.tensorflow:TensorFlow",
}


def load(name: str, export: Export, threads: int) -> Backend:
    """The export, ready to run. Raises UserError when there is no such backend."""
    if name not in REGISTERED:
        raise UserError(f"unknown backend '{name}'; known are {', '.join(REGISTERED)}")
    module, _, attribute = REGISTERED[name].partition(":")
    backend: Backend = getattr(importlib.import_module(module), attribute)(export, threads)
    return backend
