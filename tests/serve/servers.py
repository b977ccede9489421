"""A deployment without Ray: replicas and the HTTP application, in this process or in others, on one data folder."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
import uvicorn

from serve.api.app import create_app
from serve.backends import choosing
from serve.backends.choosing import Choice
from serve.deployment.replica import Replica
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.exports.model_folder import add_model
from serve.metrics.counters import Counters
from serve.storage.opening import open_database, open_secret
from serve.storage.tokens import NAME, Tokens
from serve.tasks.task import ServedExport

TOKEN, READER = "token-for-tests", "reader-for-tests"


class LocalReplica:
    """serve.api.app.ReplicaClient for a replica in this process."""

    def __init__(self, replica: Replica | None) -> None:
        self.replica = replica

    async def find(self, images: Any, model_id: str, options: Any, verb: str) -> dict[str, Any]:
        assert self.replica is not None
        return await self.replica.find(images, model_id, options, verb)

    async def about(self) -> dict[str, Any]:
        if self.replica is None:
            raise TimeoutError
        return self.replica.about()


def prepare(settings: Settings, model: Path | None) -> None:
    """Prepare the data folder as serve.run does."""
    database = open_database(settings, create=True)
    if model is not None:
        export = add_model(settings, model)
        Rollout(database, Counters(database)).begin(export.export_id)
        choose(export, settings, "openvino")
    tokens = Tokens(open_secret(settings, NAME))
    tokens.add(token=TOKEN)
    tokens.add(("read",), READER)


def choose(export: ServedExport, settings: Settings, backend: str) -> None:
    """Save the choice of `backend` without measuring, which takes seconds; test_every_backend.py measures."""
    choosing.save_choice(export, Choice(export.export_id, settings.thread_count, backend, ()))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float = 240.0) -> Any:
    """The condition's first true value. Fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not true within {seconds} s"
        time.sleep(0.05)
    return value


class Server:
    """HTTP client of the deployment under test."""

    def __init__(self, url: str, settings: Settings, token: str = TOKEN) -> None:
        self.url, self.settings = url, settings
        self.certificate: str | bool = True  # or the file of one to trust
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **request: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=60, verify=self.certificate, **request)

    def submit(self, video: Path, options: str = "{}", **request: Any) -> requests.Response:
        with video.open("rb") as file:
            return self.call(
                "POST", "/v1/jobs", files={"file": (video.name, file)}, data={"options": options}, **request
            )

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.call("GET", f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ended(self, job_id: str, seconds: float = 60.0) -> dict[str, Any]:
        """The job, once it has ended."""

        def job() -> dict[str, Any] | None:
            now = self.job(job_id)
            return now if now["state"] in ("done", "failed", "cancelled") else None

        return dict(wait_for(job, seconds))


@contextlib.contextmanager
def served(settings: Settings, replica: bool = True) -> Iterator[Server]:
    """The application, and by default a replica, in threads of this process."""
    worker = Replica(settings) if replica else None
    port = free_port()
    app = create_app(settings, LocalReplica(worker))
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    try:
        yield Server(f"http://127.0.0.1:{port}", settings)
    finally:
        server.should_exit = True
        thread.join(10)
        if worker is not None:
            worker.close()


def run_replica(settings: dict[str, Any]) -> None:
    """Runs a replica until the process is killed."""
    replica = Replica(Settings.model_validate(settings))
    threading.Event().wait()
    replica.close()


def run_http(settings: dict[str, Any], port: int) -> None:
    """Runs the application until the process is killed."""
    uvicorn.run(
        create_app(Settings.model_validate(settings), LocalReplica(None)),
        host="127.0.0.1",
        port=port,
        log_level="error",
    )


def spawn(target: Callable[..., None], *arguments: Any) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments, daemon=True)
    process.start()
    return process
