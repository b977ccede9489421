"""`python -m serve.run` as a process, and its parts."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import requests
from servers import TOKEN, Server, free_port, wait_for

from serve.deployment.settings import Settings

ROOT = Path(__file__).parents[3]


def start(data, *words, certificate=None):
    """Start `python -m serve.run` and wait until it is ready. certificate: that HTTPS clients trust."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "serve.run",
        "--data",
        str(data),
        "--port",
        str(port),
        "--token",
        TOKEN,
        *words,
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    address = f"https://localhost:{port}" if certificate else f"http://127.0.0.1:{port}"
    server = Server(address, Settings(data=data))
    if certificate:
        server.certificate = str(certificate)

    def ready():
        assert process.poll() is None, process.stdout.read().decode()
        return answers(server) and server.call("GET", "/readyz").ok

    try:
        wait_for(ready, 600)
    except AssertionError:
        stop(process, signal.SIGKILL)
        raise
    return process, server


def parts(process, name):
    """The deployment's running processes with `name` in their command line."""
    found = []
    for each in psutil.Process(process.pid).children(recursive=True):
        try:
            if name in " ".join(each.cmdline()):
                found.append(each)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def listening(process):
    """The addresses at which the deployment's processes listen."""
    family = [process, *process.children(recursive=True)]
    found = [each for part in family if part.is_running() for each in part.net_connections("inet")]
    return {each.laddr.ip.removeprefix("::ffff:") for each in found if each.status == psutil.CONN_LISTEN}


def answers(server):
    try:
        return server.call("GET", "/healthz").ok
    except requests.RequestException:
        return False


def stop(process, how=signal.SIGTERM):
    if process.poll() is not None:
        return
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(how)
    if how == signal.SIGKILL:  # all its processes
        for each in family:
            each.kill()
    assert process.wait(300) in (0, -how)
    psutil.wait_procs(family, 120)
