"""Context: what the routes share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from serve.api.tokens import Tokens
from serve.counters import Counters
from serve.jobs.store import JobStore
from serve.rollout import Rollout
from serve.settings import Settings


@dataclass(frozen=True)
class Context:
    """One deployment's parts. detecting: see serve.api.app.Detecting."""

    settings: Settings
    store: JobStore
    rollout: Rollout
    counters: Counters
    tokens: Tokens
    detecting: Any
