"""Which machine was lost with a trial's worker: by Ray's error, by the worker's own, and by asking the machine."""

from __future__ import annotations

import re
import socket
from typing import Any

ANSWER_SECONDS = 2.0


class MachineGone(Exception):
    """Raised by a worker whose machine can train no more: its disk is full, or it is about to go.

    address: of the machine. why: in a line.
    """

    def __init__(self, address: str, why: str) -> None:
        super().__init__(address, why)  # as given: Ray copies the exception
        self.address, self.why = address, why

    def __str__(self) -> str:
        return f"<{self.address}> {self.why}"


def lost_machine(error: BaseException | None, address: str | None = None) -> str:
    """The address of the machine whose loss is the cause of Ray's error; "" if a process alone has died.

    error: None if Ray has kept none.

    address: of the machine from which the worker was last heard; None if never, or if Ray's error names it. Ray's first
    error is mostly that of the process, since it finds out only after some seconds that the whole machine is gone. So
    the machine is asked; all machines, where it is unknown which one it was.
    """
    said = " ".join(str(error or "").split())
    if own := re.search(rf"{MachineGone.__name__}: <([^>]*)>", said):
        return own[1]
    if named := re.search(r" ip: (\S+)", said):
        address = named[1]
    if re.search(r"its node has died|[Nn]ode .*(was|is) (dead|terminated)", said):
        found = re.search(r"\b(\d{1,3}(?:\.\d{1,3}){3})\b", said)
        return address or (found[1] if found else "a machine")
    if address:
        return "" if answers(address) else address
    return next((row["NodeManagerAddress"] for row in _alive() if not _accepts(row)), "")


def answers(address: str) -> bool:
    """Whether Ray still runs on the machine at this address: whether its raylet accepts a connection.

    False where a machine has come back, while Ray still believes the raylet to be there that it had before. True for an
    address that Ray knows nothing of.
    """
    import ray

    known = address in {row["NodeManagerAddress"] for row in ray.nodes()}
    here = [row for row in _alive() if row["NodeManagerAddress"] == address]
    return not known or (bool(here) and all(map(_accepts, here)))


def _alive() -> list[dict[str, Any]]:
    """The rows of the machines that Ray believes to be there."""
    import ray

    return [row for row in ray.nodes() if row["Alive"]]


def _accepts(row: dict[str, Any]) -> bool:
    try:
        socket.create_connection((row["NodeManagerAddress"], row["NodeManagerPort"]), ANSWER_SECONDS).close()
    except OSError:
        return False
    return True
