"""The flag --address of the commands that watch a cluster's searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def add_jobs_address(add: Callable[..., Any]) -> None:
    """Add --address, of a cluster's job server, and --debug."""
    add(
        "--address",
        metavar="URL",
        help="of the cluster's job server (default: $RAY_API_SERVER_ADDRESS, or http://127.0.0.1:8265)",
    )
    add("--debug", action="store_true", help="print the traceback of an error")
