"""The subprocesses of ShardWorkers: `python -m trainers.datasets.records.shard_worker SOCKET...`, one for each socket.

One process imports the modules and forks the workers, so that this is paid once and not by each of them. A worker
reads questions from its socket (a file descriptor), answers each, both as lines of JSON, and exits at the end of its
input. The first process exits as the first worker that fails, or once all have exited.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainers.datasets.labelled_image import Stored
from trainers.datasets.records import image_check  # noqa: F401 - before the fork, and not once in each worker
from trainers.datasets.records.shard_writing import ShardJob, write_shard
from trainers.datasets.records.tfrecords import RecordLocation
from trainers.datasets.splits.perceptual_hash import hash_of


def _main(sockets: Sequence[int]) -> None:
    gc.collect()
    gc.freeze()  # so that collections in the workers copy no page of what was imported
    for number in sockets:
        if os.fork() == 0:
            for other in set(sockets) - {number}:
                os.close(other)  # its worker must see the end of its input
            _work(socket.socket(fileno=number))
            os._exit(0)  # at once: to take the modules down again would take as long as some images
    for number in sockets:
        os.close(number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for _ in sockets:
        code = os.waitstatus_to_exitcode(os.wait()[1])
        if code < 0:
            os.kill(os.getpid(), -code)
        if code:
            sys.exit(code)


def _work(connection: socket.socket) -> None:
    with connection, connection.makefile("rw", encoding="utf-8") as lines:
        for line in lines:
            question = json.loads(line)
            answer = _hash(question["hashes"]) if "hashes" in question else _write(question)
            lines.write(json.dumps(answer) + "\n")
            lines.flush()


def _hash(places: Sequence[tuple[str, dict[str, int] | None]]) -> dict[str, Any]:
    stored = (Stored(Path(path), RecordLocation(**record) if record else None) for path, record in places)
    return {"hashes": [hash_of(each) for each in stored]}


def _write(fields: dict[str, Any]) -> dict[str, Any]:
    job = ShardJob(**{**fields, "classes": tuple(fields["classes"])})
    try:
        written = write_shard(job)
    except OSError as error:
        return {"errno": error.errno or 0, "file": str(error.filename or job.file)}
    return {
        "records": written.records,
        "left_out": written.left_out,
        "digest_sum": f"{written.digest_sum:x}",
        "problems": [[p.kind, p.where, p.what, p.image, p.fatal, p.harmless] for p in written.problems],
    }


if __name__ == "__main__":
    _main([int(number) for number in sys.argv[1:]])
