"""Runs shard jobs, and hashes images, in one subprocess per core; of few images in this process instead.

A worker is `python -m trainers.datasets.records.shard_workers`. It reads jobs as lines of JSON from standard input,
answers each with a line, and exits at the end of its input. A subprocess rather than a fork, since the parent may be
any program and have threads.
"""

from __future__ import annotations

import json
import os
import queue
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
from trainers.datasets.records.tfrecords import RecordLocation
from trainers.hardware.machine import cpus_here

FEWEST_IMAGES = 200  # fewer are finished before a subprocess has started


class ShardWorkers:
    """A pool of subprocesses. They start when needed, or at `start`, and are killed at the end of the `with` block."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []

    def __enter__(self) -> ShardWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def start(self) -> None:
        """Start the subprocesses now, so that they import their modules while this process does something else."""
        count = cpus_here()
        if count > 1 and not self._workers:
            self._workers = [_Worker() for _ in range(count)]

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
                self.__exit__()  # else shutdown would wait for the shards that are being written
            pool.shutdown()


class _Worker:
    """One subprocess."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[3])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "trainers.datasets.records.shard_workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C must reach the parent only
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])},
        )

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
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has exited; the exit code is reported below
            print(json.dumps(question), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"a worker process converting images died with exit code {self._process.wait()}"
            )
        fields: dict[str, Any] = json.loads(answer)
        return fields

    def end(self) -> None:
        """Kill the subprocess."""
        self._process.kill()
        self._process.communicate()


def _work() -> None:
    from trainers.datasets.records import image_check  # noqa: F401 - imported before the first job arrives
    from trainers.datasets.splits.perceptual_hash import hash_of

    for line in sys.stdin:
        fields = json.loads(line)
        if "hashes" in fields:
            places = (
                (Path(path), RecordLocation(**record) if record else None)
                for path, record in fields["hashes"]
            )
            print(json.dumps({"hashes": [hash_of(Stored(*place)) for place in places]}), flush=True)
            continue
        job = ShardJob(**{**fields, "classes": tuple(fields["classes"])})
        try:
            written = write_shard(job)
        except OSError as error:
            print(
                json.dumps({"errno": error.errno or 0, "file": str(error.filename or job.file)}), flush=True
            )
            continue
        problems = [[p.kind, p.where, p.what, p.image, p.fatal, p.harmless] for p in written.problems]
        answer = {
            "records": written.records,
            "left_out": written.left_out,
            "digest_sum": f"{written.digest_sum:x}",
            "problems": problems,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _work()
