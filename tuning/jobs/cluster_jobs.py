"""The searches of a Ray cluster, as jobs of its job server: submits, lists, stops them, and reads what they print.

With RAY_AUTH_MODE=token, Ray sends the token of RAY_AUTH_TOKEN_PATH, or of ~/.ray/auth_token, with each request.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.errors import UserError
from tuning.execution.machines.software import PACKAGES
from tuning.execution.python_path import ROOT

ADDRESS = "RAY_API_SERVER_ADDRESS"  # Ray's own variable
DEFAULT_ADDRESS = "http://127.0.0.1:8265"
KIND = "detector-tuning"
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
STOP_SECONDS = 90  # that a driver may take to store everything, before Ray kills it


@dataclass(frozen=True)
class Job:
    """A search of the cluster.

    name: by which it is watched and stopped. state: Ray's: PENDING, RUNNING, SUCCEEDED, FAILED, STOPPED.
    started, ended: in seconds since 1970; 0 before. about: "study" ("" if named after the data), "studies_dir".
    exit_code: of its driver; None while it runs, or where it was killed.
    """

    name: str
    state: str
    message: str
    started: float
    ended: float
    about: Mapping[str, str]
    exit_code: int | None

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.state not in ENDED


class ClusterJobs:
    """address: of the cluster's job server, http://host:8265. Every method raises UserError where it does not answer."""

    def __init__(self, address: str | None) -> None:
        import ray
        from ray.job_submission import JobSubmissionClient

        self.address = address or os.environ.get(ADDRESS) or DEFAULT_ADDRESS
        if not self.address.startswith(("http://", "https://")):
            raise UserError(f"--address {self.address}: jobs are submitted over HTTP; give http://HOST:8265")
        with self._in_words():
            self._client = JobSubmissionClient(self.address)
            there = self._client._do_request("GET", "/api/version").json()["ray_version"]
        if there != ray.__version__:
            raise UserError(
                f"{self.address}: runs Ray {there}, and here is {ray.__version__}; install the same one"
            )

    def submit(self, words: Sequence[str], name: str, about: Mapping[str, str]) -> Job:
        """Let the cluster run `python -m tuning.run` with these arguments, by this code. Returns its job."""
        modules = os.environ.get("PYTHONPATH", "")
        with code() as folder, self._in_words():
            self._client.submit_job(
                entrypoint=shlex.join(["python", "-m", "tuning.run", *words]),
                submission_id=name,
                metadata={"kind": KIND, **about},
                runtime_env={
                    "working_dir": str(folder),
                    "env_vars": {
                        "PYTHONUNBUFFERED": "1",
                        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
                        **({"PYTHONPATH": modules} if modules else {}),
                    },
                },
            )
        return self.job(name)

    def jobs(self) -> list[Job]:
        """All searches, the newest first."""
        with self._in_words():
            found = self._client.list_jobs()
        ours = [_job(each) for each in found if (each.metadata or {}).get("kind") == KIND]
        return sorted(ours, key=lambda job: -job.started)

    def job(self, name: str | None = None) -> Job:
        """The search of this name, or the newest one. Raises UserError when there is none."""
        found = self.jobs()
        chosen = [job for job in found if name in (None, job.name)]
        if not chosen:
            there = f"there are {', '.join(job.name for job in found)}" if found else "there is none"
            raise UserError(f"{name or self.address}: no such search on the cluster ({there})")
        return chosen[0]

    def log(self, name: str) -> str:
        """All that its driver has printed."""
        with self._in_words():
            return str(self._client.get_job_logs(name))

    def follow(self, name: str, say: Callable[[str], None]) -> None:
        """Call `say` with what its driver prints, from the beginning, until it ends."""

        async def tail() -> None:
            async for text in self._client.tail_job_logs(name):
                say(text)

        with self._in_words():
            asyncio.run(tail())

    def stop(self, name: str) -> Job:
        """End a search as Ctrl-C does: what is finished is kept. Returns it once it has ended."""
        with self._in_words():
            self._client.stop_job(name)
        until = time.monotonic() + STOP_SECONDS + 30
        while (job := self.job(name)).running and time.monotonic() < until:
            time.sleep(0.5)
        return job

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        from ray.exceptions import AuthenticationError, RayError

        try:
            yield
        except (RayError, RuntimeError, OSError, ValueError) as error:
            said = " ".join(str(error).split())
            if isinstance(error, AuthenticationError):
                raise UserError(
                    f"{self.address}: the cluster wants its token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH"
                ) from None
            raise UserError(
                f"{self.address}: the cluster's job server does not answer ({said[:200]})"
            ) from None


def _job(found: Any) -> Job:
    return Job(
        found.submission_id or "",
        str(found.status.value),
        " ".join((found.message or "").split()),
        (found.start_time or 0) / 1000,
        (found.end_time or 0) / 1000,
        {name: value for name, value in (found.metadata or {}).items() if name != "kind"},
        found.driver_exit_code,
    )


@contextmanager
def code() -> Iterator[Path]:
    """Within the block, a folder that holds this code and nothing else."""
    with tempfile.TemporaryDirectory(prefix="tuning-") as scratch:
        for name in (*PACKAGES, "detector_tuning"):
            shutil.copytree(ROOT / name, Path(scratch) / name, ignore=shutil.ignore_patterns("__pycache__"))
        yield Path(scratch)
