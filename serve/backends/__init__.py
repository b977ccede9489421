"""Backends: the runtimes that can run an export, one module each. choosing.py picks the fastest on this machine."""

from __future__ import annotations

import importlib

from serve.backends.backend import Backend
from trainers.detection.export import Export
from trainers.errors import UserError

# name -> class; the module, and with it the runtime, is imported only when the backend is loaded
REGISTERED = {
    "openvino": "serve.backends.openvino:OpenVino",
    "tensorflow": "serve.backends.tensorflow:TensorFlow",
}


def load(name: str, export: Export, threads: int) -> Backend:
    """The export, loaded and ready to run. Raises UserError for an unknown backend."""
    if name not in REGISTERED:
        raise UserError(f"unknown backend '{name}'; available: {', '.join(REGISTERED)}")
    module, _, attribute = REGISTERED[name].partition(":")
    backend: Backend = getattr(importlib.import_module(module), attribute)(export, threads)
    return backend
