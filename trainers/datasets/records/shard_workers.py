"""Runs shard jobs, and hashes images, in one subprocess per core (shard_worker.py); of few images in this process.

Subprocesses of their own rather than forks of this process, which may be any program and have threads.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainers.datasets.labelled_image import Stored
from trainers.datasets.problems import Problem
from trainers.datasets.records.shard_writing import ShardJob, ShardResult, write_shard
from trainers.hardware.machine import cpus_here

FEWEST_IMAGES = 200  # fewer are finished before a subprocess has started


class ShardWorkers:
    """A pool of subprocesses. They start when needed, or at `start`, and end with the `with` block."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._first: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ShardWorkers:
        return self

    def __exit__(self, raised: type[BaseException] | None, *_: object) -> None:
        self._end(kill=raised is not None)

    def _end(self, kill: bool) -> None:
        if self._first is None:
            return
        if kill:
            with suppress(ProcessLookupError):  # all have exited
                os.killpg(self._first.pid, signal.SIGKILL)
        for worker in self._workers:
            worker.close()  # which ends a worker that waits for a question
        self._first.wait()
        self._first, self._workers = None, []

    def start(self) -> None:
        """Start the subprocesses now, so that they import their modules while this process does something else."""
        count = cpus_here()
        if count > 1 and not self._workers:
            self._first, self._workers = _start(count)

    def hashes(self, images: Sequence[Stored]) -> list[int | None]:
        """Perceptual hashes of images, None for one that cannot be read; of a subprocess if there are some.

        Starting to compute them takes longer, for the libraries that it needs, than the hashes of a few images.
        """
        if self._workers:
            return self._workers[0].hashes(images)
        from trainers.datasets.splits.perceptual_hash import hash_of

        return [hash_of(image) for image in images]

    def done(self, jobs: Sequence[ShardJob], images: int) -> Iterator[ShardResult]:
        """The result of each job, in order. images: in all jobs.

        Raises OSError if a worker could not write its shard, RuntimeError if one dies.
        """
        if len(jobs) > 1 and images >= FEWEST_IMAGES:
            self.start()
        if not self._workers:
            yield from map(write_shard, jobs)
            return
        idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            idle.put(worker)

        def do(job: ShardJob) -> ShardResult:
            worker = idle.get()
            try:
                return worker.do(job)
            finally:
                idle.put(worker)

        pool = ThreadPoolExecutor(len(self._workers))
        whole = False
        try:
            yield from pool.map(do, jobs)
            whole = True
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            if not whole:
                self._end(kill=True)  # else shutdown would wait for the shards that are being written
            pool.shutdown()


class _Worker:
    """One subprocess, which listens at the other end of a socket; `first` is the process that forked it."""

    def __init__(self, connection: socket.socket, first: subprocess.Popen[bytes]) -> None:
        self._lines = connection.makefile("rw", encoding="utf-8")
        self._connection = connection
        self._first = first

    def do(self, job: ShardJob) -> ShardResult:
        """Run a job and return its result."""
        fields = self._ask(asdict(job))
        if "errno" in fields:
            raise OSError(fields["errno"], os.strerror(fields["errno"]), fields["file"])
        problems = tuple(Problem(*problem) for problem in fields["problems"])
        digest_sum = int(fields["digest_sum"], 16)
        return ShardResult(fields["records"], tuple(fields["left_out"]), digest_sum, problems)

    def hashes(self, images: Sequence[Stored]) -> list[int | None]:
        """See ShardWorkers.hashes."""
        places = [(str(image.path), asdict(image.record) if image.record else None) for image in images]
        found: list[int | None] = self._ask({"hashes": places})["hashes"]
        return found

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        answer = ""
        with suppress(OSError):  # it has died; the exit code is reported below
            self._lines.write(json.dumps(question) + "\n")
            self._lines.flush()
            answer = self._lines.readline()
        if not answer:
            raise RuntimeError(f"a worker process converting images died with exit code {self._first.wait()}")
        fields: dict[str, Any] = json.loads(answer)
        return fields

    def close(self) -> None:
        """End the connection."""
        with suppress(OSError):  # what could not be sent to a worker that has died
            self._lines.close()
        self._connection.close()


def _start(count: int) -> tuple[subprocess.Popen[bytes], list[_Worker]]:
    """Start `count` workers; the process that forks them, and leads their process group, and the workers."""
    root = str(Path(__file__).parents[3])
    pairs = [socket.socketpair() for _ in range(count)]
    theirs = [other.fileno() for _, other in pairs]
    first = subprocess.Popen(
        [sys.executable, "-m", "trainers.datasets.records.shard_worker", *map(str, theirs)],
        pass_fds=theirs,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C must reach the parent only
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}
        | {"OPENBLAS_NUM_THREADS": "1"},  # a process with threads should not fork
    )
    for _, other in pairs:
        other.close()
    return first, [_Worker(ours, first) for ours, _ in pairs]
