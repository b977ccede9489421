"""Starts the application on Ray Serve, and stops it at SIGINT or SIGTERM."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve.deployment.settings import Settings
from trainers.errors import UserError
from trainers.hardware.machine import cpus_here
from tuning.execution import ray_processes

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "RAY_SERVE_LOG_TO_STDERR": "0",
    # Ray's default is 15, which would put requests behind all other work on the machine
    "RAY_worker_niceness": "0",
    # the default is 0.1; nothing that the controller watches changes that fast here
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    # the default is 5, after which the controller kills a proxy that a busy machine has not started yet
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    # one event loop in each process instead of up to three: a third less CPU time for a request; what may take long here
    # has threads of its own
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
}


@dataclass(frozen=True)
class Placement:
    """Where the application runs.

    address: of a Ray cluster, None to start Ray here. gpus: of each replica. certificate, key: PEM files for HTTPS.
    proxies: addresses and networks of reverse proxies, whose X-Forwarded-Proto and X-Forwarded-For are believed.
    """

    host: str
    port: int
    replicas: int
    max_replicas: int
    gpus: float
    address: str | None
    certificate: Path | None = None
    key: Path | None = None
    proxies: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where a client on this machine reaches it."""
        scheme = "https" if self.certificate else "http"
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"


def check_certificate(certificate: Path | None, key: Path | None) -> None:
    """Raise UserError when only one of the files is given, or they do not fit each other."""
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        raise UserError("give both --tls-cert and --tls-key, or neither")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{certificate}, {key}: cannot be used for TLS ({reason})") from None


def check_proxies(proxies: Sequence[str]) -> None:
    """Raise UserError for what is neither an address nor a network."""
    for each in proxies:
        try:
            ipaddress.ip_network(each)
        except ValueError as error:
            raise UserError(f"--forwarded-allow-ips {each}: not an address or a network ({error})") from None


def check_port(host: str, port: int) -> None:
    """Raise UserError when the address cannot be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"cannot listen on {host}:{port} ({reason}); give another --host or --port"
            ) from None


def serve_until_stopped(settings: Settings, placement: Placement, ready: Callable[[], None]) -> None:
    """Run the application until a signal stops it. ready: called when it serves.

    Raises UserError when Ray cannot be reached or started, or the deployment fails.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # read by uvicorn in Serve's proxy; without it, uvicorn would believe everybody on this machine
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(placement.proxies)
    from ray import serve as ray_serve

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    stopped = threading.Event()
    _start_ray(placement)
    # after ray.init, which installs handlers of its own
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        options = {"host": placement.host, "port": placement.port}
        if placement.certificate and placement.key:
            options |= {"ssl_certfile": str(placement.certificate), "ssl_keyfile": str(placement.key)}
        _start_serve(options)
        _deploy(settings, placement)
        ready()
        # without Ray's own processes no request is answered; then this process ends too, to be started again
        with contextlib.nullcontext() if placement.address else ray_processes.watched():
            stopped.wait()
        print("stopping; unfinished jobs continue at the next start", flush=True)
        ray_serve.shutdown()
    finally:
        ray_processes.stop()


def _start_ray(placement: Placement) -> None:
    import ray

    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    common: dict[str, Any] = {
        "namespace": "serve", "log_to_driver": False, "logging_level": "ERROR",
        "runtime_env": {"env_vars": {"PYTHONPATH": path}},
    }  # fmt: skip
    if placement.address is None:
        cpus = max(cpus_here(), placement.replicas)
        ray_processes.start(num_cpus=cpus, include_dashboard=False, **common)
        return
    try:
        ray.init(address=placement.address, **common)
    except Exception as error:  # Ray raises exceptions of many types
        line = " ".join(str(error).split())[:200]
        raise UserError(f"cannot connect to Ray at {placement.address}: {line}") from error


def _start_serve(options: dict[str, Any]) -> None:
    from ray import serve as ray_serve
    from ray.exceptions import RayError

    try:
        ray_serve.start(
            proxy_location="HeadOnly", http_options=options, logging_config={"enable_access_log": False}
        )
    except (RayError, TimeoutError) as error:
        line = " ".join(str(error).split())[:200]
        raise UserError(
            f"Ray Serve did not start ({line}); logs: {_logs()}; on a busy machine, try again"
        ) from error


def _logs() -> Path:
    import ray

    return Path(ray._private.worker._global_node.get_session_dir_path()) / "logs" / "serve"


def _deploy(settings: Settings, placement: Placement) -> None:
    from ray import serve as ray_serve

    from serve.deployment.application import build

    share = (cpus_here()) / placement.max_replicas
    application = build(
        settings.model_dump(mode="json")
        | {
            "replicas": placement.replicas, "max_replicas": placement.max_replicas, "gpus": placement.gpus,
            "cpus": min(1.0, share),
        }
    )  # fmt: skip
    try:
        ray_serve.run(application, name="detector", route_prefix="/")
    except RuntimeError as error:
        raise UserError(
            f"the deployment failed: {' '.join(str(error).split())[:200]}; logs: {_logs()}"
        ) from error
