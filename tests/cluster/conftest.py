"""A cluster of three nodes that share no disk, an S3 server on the bridge, and the toy city in the store's reach."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import nodes
import pytest
from faults import Outage
from nodes import HERE, ROOT, Node

TRAINER = ROOT / "tests" / "tuning"


@dataclass
class Cluster:
    """head, workers: its machines. uri: of the studies. s3: a client. outage: of S3. join: adds a machine."""

    head: Node
    workers: list[Node]
    uri: str
    s3: object
    outage: Outage
    join: Callable[..., Node]


def _give_token(machine: Node) -> None:
    token = machine.disk / "root" / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("0123456789abcdef0123456789abcdef")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    from moto.server import ThreadedMotoServer

    if missing := nodes.available():
        pytest.skip(missing)
    folder = Path(tempfile.mkdtemp(prefix="tuning-cluster-", dir="/var/tmp"))
    nodes.make_bridge()
    server = ThreadedMotoServer(HERE, 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    outage = server._server.app = Outage(server._server.app)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RAY_", "XDG_"))
    } | {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1", "PYTHONPATH": f"{ROOT}{os.pathsep}{TRAINER}", "PYTHONUNBUFFERED": "1",
        "CURVE_TROUBLE": '{"pace": 0.1}',
    }  # fmt: skip
    machines: list[Node] = []
    try:
        for number in (1, 2, 3):
            machines.append(Node(number, folder, environment))
            _give_token(machines[-1])
        client = boto3.client(
            "s3", endpoint_url=environment["AWS_ENDPOINT_URL"], aws_access_key_id="someone",
            aws_secret_access_key="secret", region_name="us-east-1",
        )  # fmt: skip
        client.create_bucket(Bucket="studies")
        head, *workers = machines
        head.start_ray(None, 1)
        for worker in workers:
            worker.start_ray(head.address, 2)

        def join(number: int, small: bool, cpus: int) -> Node:
            machine = Node(number, folder, environment, small)
            machines.append(machine)
            _give_token(machine)
            machine.start_ray(head.address, cpus)
            return machine

        yield Cluster(head, workers, "s3://studies/cluster", client, outage, join)
    finally:
        for machine in machines:
            machine.remove()
        server.stop()
        nodes.remove_bridge()
        if "PYTEST_KEEP" not in os.environ:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(folder, file=sys.stderr)
