"""Context: the objects that all routes use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from serve.api.checking import Checks
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.jobs.store import JobStore
from serve.metrics.counters import Counters
from serve.storage.tokens import Tokens


@dataclass(frozen=True)
class Context:
    """One deployment. replicas: a serve.api.app.ReplicaClient."""

    settings: Settings
    store: JobStore
    rollout: Rollout
    counters: Counters
    tokens: Tokens
    replicas: Any
    checks: Checks
