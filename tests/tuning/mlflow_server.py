"""A real MLflow server over an SQLite file, in a process group of its own that can be killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

START_SECONDS = 300.0  # on a busy machine


class MlflowServer:
    """`start` returns when it answers; `kill` ends all its processes at once. host: the address at which it listens."""

    def __init__(self, database: Path, artifacts: Path, host: str = "127.0.0.1") -> None:
        self._database = database
        self._artifacts = artifacts
        with socket.socket() as probe:
            probe.bind((host, 0))
            self._port = int(probe.getsockname()[1])
        self._host = host
        self.uri = f"http://{host}:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> MlflowServer:
        words = ["--backend-store-uri", f"sqlite:///{self._database}", "--host", self._host]
        words += ["--port", str(self._port)]
        words += ["--artifacts-destination", str(self._artifacts), "--workers", "1"]
        log = self._database.with_suffix(".log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *words], stdout=log, stderr=log,
            start_new_session=True,
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )  # fmt: skip
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self._database.with_suffix(".log").read_text()[-2000:]
            assert time.monotonic() < end, "the MLflow server does not start"
            time.sleep(0.2)
        return self

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.uri}/health", timeout=5).ok
        except requests.RequestException:
            return False
