"""The server on Ray Serve: application, replicas, model rollout, autoscaling, settings, shared database, counters."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`serve.deployment:build` is the import path in serve/config.yaml. Lazy, because `build` imports Ray Serve."""
    if name == "build":
        from serve.deployment.application import build

        return build
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
