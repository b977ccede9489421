"""A PostgreSQL of the tests' own, in a temporary folder; tests are skipped where its programs are not installed."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PASSWORD = "only for tests"
FOLDERS = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]


def program(name: str) -> str:
    found = next((str(folder / name) for folder in FOLDERS if (folder / name).is_file()), shutil.which(name))
    if found is None:
        pytest.skip(f"{name} is not installed (Debian's package postgresql)")
    return found


class Server:
    """address: without a password; PGPASSWORD has it."""

    def __init__(self, folder: Path, user: str | None, host: str) -> None:
        self._folder, self._user, self.host = folder, user, host
        with socket.socket() as free:
            free.bind((host, 0))
            self.port = free.getsockname()[1]
        self.address = f"postgresql://tests@{host}:{self.port}/postgres"

    def run(self, *line: str) -> None:
        subprocess.run(line, check=True, capture_output=True, cwd=self._folder, user=self._user)

    def start(self) -> None:
        options = (
            f"-p {self.port} -c listen_addresses={self.host} -k {self._folder} -F -c max_connections=200"
        )
        log = str(self._folder / "log")
        self.run(program("pg_ctl"), "-D", str(self._folder / "data"), "-w", "-o", options, "-l", log, "start")

    def stop(self, mode: str = "immediate") -> None:
        self.run(program("pg_ctl"), "-D", str(self._folder / "data"), "-m", mode, "-w", "stop")


def made(host: str = "127.0.0.1", clients: str = "") -> Iterator[Server]:
    """host: the address at which it listens. clients: a network that may reach it too, such as 10.0.0.0/24."""
    program("initdb")
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    user = None
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        user = "postgres" if any(each.pw_name == "postgres" for each in pwd.getpwall()) else "nobody"
        shutil.chown(folder, user)
    server = Server(folder, user, host)
    word = folder / "password"
    word.write_text(PASSWORD)
    word.chmod(0o644)
    server.run(
        program("initdb"), "-D", str(folder / "data"), "-U", "tests", "--auth=scram-sha-256", "--pwfile", str(word),
        "--no-sync", "--locale=C.UTF-8", "--encoding=UTF8",
    )  # fmt: skip
    if clients:
        with (folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {clients} scram-sha-256\n")
    server.start()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex((host, server.port)) == 0:
                break
    yield server
    with contextlib.suppress(subprocess.CalledProcessError):  # a test has stopped it
        server.stop()
    shutil.rmtree(folder, ignore_errors=True)
