"""How long Ray's processes of a node are left after SIGTERM, as Ray itself reads it from the environment."""

from __future__ import annotations

import os
import subprocess
import sys

READ = "from ray._private.ray_constants import RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S as s; print(s)"


def drain_seconds(environment: dict[str, str]) -> float:
    """For which `ray start --block` with these variables waits for a node's work to end."""
    ours = {name: value for name, value in environment.items() if name.startswith("RAY_GRACEFUL")}
    line = [sys.executable, "-c", READ]
    done = subprocess.run(line, env=os.environ | ours, capture_output=True, text=True, check=True)
    return float(done.stdout)
