"""Backends: the runtimes that can run an export; its task names them. choosing.py picks the fastest on this machine."""

from __future__ import annotations

import importlib

from serve import tasks
from serve.backends.backend import Backend
from serve.tasks.task import ServedExport
from trainers.errors import UserError


def load(name: str, export: ServedExport, threads: int) -> Backend:
    """The export, loaded and ready to run. Raises UserError for an unknown backend."""
    known = tasks.of(export).backends
    if name not in known:
        raise UserError(f"unknown backend '{name}'; available: {', '.join(known)}")
    module, _, attribute = known[name].partition(":")
    backend: Backend = getattr(importlib.import_module(module), attribute)(export, threads)
    return backend
