"""Faults of a cluster: each is made, and mended after a while, while a search runs on it.

cluster: the fixture. node: one of its workers. search: the watching.Driver.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from nodes import Node

AWAY_SECONDS = {"partition": 20.0, "store": 30.0, "machine": 5.0, "database": 10.0, "disk": 30.0}
WORKER = "ray::_Inner"  # TrialWorker, as Ray calls it once it has parameters
MIDDLE = (503, "Slow Down")


class Outage:
    """Between an S3 server and its clients: answers 503 while `on`. app: the server's WSGI application."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app
        self.on = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if not self.on:
            return self._app(environ, start_response)
        start_response(f"{MIDDLE[0]} {MIDDLE[1]}", [("Content-Length", "0")])
        return [b""]


def processes(node: Node, *words: str) -> list[int]:
    """The processes of a machine whose command lines have one of the words."""
    found = []
    for pid in node.pids():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        if any(word in line for word in words):
            found.append(pid)
    return found


def kill(pids: list[int]) -> None:
    for pid in pids:
        subprocess.run(["kill", "-9", str(pid)], check=False, capture_output=True)


def revive(cluster: Any, node: Node) -> None:
    """Start the machine's Ray anew."""
    node.kill()
    node.start_ray(cluster.head.address, 2)


def worker(cluster: Any, node: Node, search: Any) -> None:
    """A worker process is killed, as for want of memory."""
    victims = [
        each for machine in (node, *cluster.workers, cluster.head) for each in processes(machine, WORKER)
    ]
    assert victims, "no machine has a worker"
    kill(victims[:1])


def raylet(cluster: Any, node: Node, search: Any) -> None:
    """The machine's raylet is killed, and its Ray started again."""
    kill(processes(node, "raylet/raylet"))
    time.sleep(AWAY_SECONDS["machine"])
    revive(cluster, node)


def machine(cluster: Any, node: Node, search: Any) -> None:
    """All processes of the machine are killed, and its Ray started again."""
    node.kill()
    time.sleep(AWAY_SECONDS["machine"])
    revive(cluster, node)


def partition(cluster: Any, node: Node, search: Any) -> None:
    """The machine is cut off for 20 s; its Ray is started again if it has given up meanwhile."""
    subprocess.run(["ip", "link", "set", node.veth, "down"], check=True)
    time.sleep(AWAY_SECONDS["partition"])
    subprocess.run(["ip", "link", "set", node.veth, "up"], check=True)
    time.sleep(AWAY_SECONDS["machine"])
    if not processes(node, "raylet/raylet"):
        revive(cluster, node)


def store(cluster: Any, node: Node, search: Any) -> None:
    """S3 answers 503 for 30 s."""
    cluster.outage.on = True
    time.sleep(AWAY_SECONDS["store"])
    cluster.outage.on = False


def database(cluster: Any, node: Node, search: Any) -> None:
    """PostgreSQL is ended at once, and started again after 10 s."""
    cluster.database.stop()
    time.sleep(AWAY_SECONDS["database"])
    cluster.database.start()


def disk(cluster: Any, node: Node, search: Any) -> None:
    """The machine's disk is full for 30 s."""
    filler = node.cache / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:  # until there is no space left
        while True:
            file.write(bytes(2**20))
    time.sleep(AWAY_SECONDS["disk"])
    filler.unlink()


def gcs(cluster: Any, node: Node, search: Any) -> None:
    """Ray's control process on the head is killed; the machines of such a cluster are then started anew."""
    kill(processes(cluster.head, "gcs_server"))
    search.process.wait(150)  # Ray waits a minute for it
    head(cluster, node, search)


def head(cluster: Any, node: Node, search: Any) -> None:
    """The head is killed with the driver, and all of Ray started again: machines without a head end by themselves."""
    for each in (cluster.head, *cluster.workers):  # Ray on the head takes processes of the others for its own
        each.kill()
    time.sleep(AWAY_SECONDS["machine"])
    cluster.head.start_ray(None, 1)
    for each in cluster.workers:
        each.start_ray(cluster.head.address, 2)


def driver(cluster: Any, node: Node, search: Any) -> None:
    """The driver is killed."""
    kill(processes(cluster.head, "tuning.run"))


SURVIVED = (worker, raylet, machine, partition, store, database, disk)  # the driver goes on
FATAL = (driver, head, gcs)  # the same command is given again
