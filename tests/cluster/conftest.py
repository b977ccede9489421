"""A cluster of three nodes that share no disk; on the bridge an S3 server, PostgreSQL and MLflow's server."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import nodes
import postgresql_server
import pytest
from faults import Outage
from mlflow_server import MlflowServer
from nodes import HERE, ROOT, Node
from watching import TRAINED, Driver

TRAINER = ROOT / "tests" / "tuning"
NETWORK = "10.77.0.0/24"
CERTIFICATES = ROOT / "infra" / "certificates.py"
TLS = {
    "RAY_USE_TLS": "1", "RAY_TLS_CA_CERT": "/root/tls/ca.crt",
    "RAY_TLS_SERVER_CERT": "/root/tls/machine.crt", "RAY_TLS_SERVER_KEY": "/root/tls/machine.key",
}  # fmt: skip


@dataclass
class Cluster:
    """head, workers: its machines. uri: of the studies. s3: a client. outage: of S3. join: adds a machine.

    database: the PostgreSQL. mlflow: the URI of MLflow's server.
    """

    head: Node
    workers: list[Node]
    uri: str
    s3: object
    outage: Outage
    join: Callable[..., Node]
    database: postgresql_server.Server
    mlflow: str


def _give_token(machine: Node) -> None:
    token = machine.disk / "root" / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("0123456789abcdef0123456789abcdef")


def _give_certificate(machine: Node, authority: Path) -> None:
    subprocess.run([sys.executable, CERTIFICATES, "authority", authority], check=True, capture_output=True)
    shutil.copytree(authority, machine.disk / "root" / "tls")
    machine.run(sys.executable, str(CERTIFICATES), "machine", "/root/tls")


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """With the OPTIONS of the test's module, if it has some."""
    with cluster_of(**getattr(request.module, "OPTIONS", {})) as made:
        yield made


@contextlib.contextmanager
def cluster_of(workers: int = 2, head_cpus: int = 1, tls: bool = False, **options: Any) -> Iterator[Cluster]:
    """A head and so many workers. options: of each Node. Skips the test where there can be none.

    tls: whether Ray's processes prove to each other that they are of this cluster, and encrypt what they say.
    """
    if missing := nodes.available():
        pytest.skip(missing)
    with contextlib.ExitStack() as running:
        folder = Path(tempfile.mkdtemp(prefix="tuning-cluster-", dir="/var/tmp"))
        running.callback(_leave, folder)
        nodes.make_bridge()
        running.callback(nodes.remove_bridge)
        outage, endpoint = _s3(running)
        database = running.enter_context(
            contextlib.contextmanager(postgresql_server.made)(HERE, clients=NETWORK)
        )
        tracking = MlflowServer(folder / "mlflow.db", folder / "artifacts", HERE)
        running.callback(tracking.kill)
        tracking.start()
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RAY_", "XDG_"))
        } | {
            "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1", "PYTHONPATH": f"{ROOT}{os.pathsep}{TRAINER}", "PYTHONUNBUFFERED": "1",
            "PGPASSWORD": postgresql_server.PASSWORD,
            "CURVE_TROUBLE": f'{{"pace": 0.1, "log": "/tmp/{TRAINED}"}}',
        } | (TLS if tls else {})  # fmt: skip
        client = boto3.client(
            "s3", endpoint_url=endpoint, aws_access_key_id="someone", aws_secret_access_key="secret",
            region_name="us-east-1",
        )  # fmt: skip
        client.create_bucket(Bucket="studies")

        def join(number: int, cpus: int, head: str | None, **own: str) -> Node:
            machine = Node(number, folder, environment, **options | own)
            running.callback(machine.remove)
            _give_token(machine)
            if tls:
                _give_certificate(machine, folder / "authority")
            machine.start_ray(head, cpus)
            return machine

        head = join(1, head_cpus, None)
        joined = [join(number, 2, head.address) for number in range(2, 2 + workers)]
        yield Cluster(
            head, joined, "s3://studies/cluster", client, outage, join, database, tracking.uri
        )  # fmt: skip


def _s3(running: contextlib.ExitStack) -> tuple[Outage, str]:
    """Start an S3 server; returns what puts it out of order, and its address."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs every request
    server = ThreadedMotoServer(HERE, 0, verbose=False)
    server.start()
    running.callback(server.stop)
    host, port = server.get_host_and_port()
    outage = server._server.app = Outage(server._server.app)
    return outage, f"http://{host}:{port}"


def _leave(folder: Path) -> None:
    if "PYTEST_KEEP" in os.environ:
        print(folder, file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """A search's command, yet to be started; killed at the end, so that a failed test leaves its machines free."""
    driver = Driver(tmp_path / "log")
    yield driver
    if driver.process is not None and driver.process.poll() is None:
        driver.process.kill()
        driver.process.wait()
