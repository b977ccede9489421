"""Random faults at every step of jobs: how many jobs are lost or fail for them, and whether a frame is there twice.

    .venv/bin/python tests/benchmarks/serving/serving_faults.py
    .venv/bin/python tests/benchmarks/serving/serving_faults.py --faults 20

Memory, disk, database, device, S3 and an unexpected error, each at a random call of a random step: fetching the video,
loading the model, decoding, the network, encoding, finishing a segment, storing the progress, joining the results, and
ending the job. A replica's parts run in this process, without the pauses between tries; each job's frames are counted in
its detections and, decoded, in its video. serving_chaos.py kills processes.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from serving_parts import ROOT, keep

TESTS = ROOT / "tests" / "serve"
sys.path[:0] = [str(TESTS), str(TESTS / "jobs")]

import clips  # noqa: E402
from rectangles import build  # noqa: E402
from servers import prepare  # noqa: E402
from worker import Once, Worker  # noqa: E402

from serve.backends.batching import NetworkFailed  # noqa: E402
from serve.backends.openvino import OpenVino  # noqa: E402
from serve.deployment.settings import Settings  # noqa: E402
from serve.errors import Refused  # noqa: E402
from serve.exports.loaded_models import LoadedModels  # noqa: E402
from serve.jobs import running  # noqa: E402
from serve.jobs.limits import Limits  # noqa: E402
from serve.jobs.options import Options  # noqa: E402
from serve.jobs.queue import JobQueue  # noqa: E402
from serve.jobs.submission import Submission  # noqa: E402
from serve.video import annotating  # noqa: E402
from serve.video.decoding import Decoder  # noqa: E402
from serve.video.encoding import SegmentWriter  # noqa: E402
from serve.video.segments import SegmentFolder  # noqa: E402

FRAMES = 40
FAULTS = {
    "memory": MemoryError(),
    "disk full": OSError(errno.ENOSPC, "No space left on device"),
    "disk": OSError(errno.EIO, "Input/output error"),
    "database": sqlite3.OperationalError("database is locked"),
    "device": NetworkFailed("device lost"),
    "S3": Refused(503, "S3 does not answer"),
    "unexpected": RuntimeError("unexpected"),
}
# of a module or a class: what is called, and the last call at which the fault may come
STEPS: dict[str, tuple[Any, str, int]] = {
    "fetch": (running, "fetch", 1),
    "load": (LoadedModels, "using", 1),
    "decode": (Decoder, "_check_length", FRAMES),
    "network": (OpenVino, "run", 8),
    "encode": (SegmentWriter, "write", FRAMES),
    "segment": (SegmentFolder, "finish", 5),
    "progress": (JobQueue, "update_progress", 1),
    "join": (annotating, "assemble", 1),
    "annotate": (running, "annotate", 1),
    "end": (JobQueue, "done", 1),
}


def main() -> None:
    """See the module's docstring."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--faults", type=int, default=200)
    line.add_argument("--seed", type=int, default=0)
    line.add_argument("--out", type=Path)
    chosen = line.parse_args()
    logging.disable(logging.CRITICAL)  # each fault's traceback
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        result = inject(chosen.faults, random.Random(chosen.seed), Path(name))
    minutes = round((time.monotonic() - began) / 60, 1)
    keep("serving_faults", result | {"seed": chosen.seed, "minutes": minutes}, chosen.out)


def inject(faults: int, draw: random.Random, folder: Path) -> dict[str, Any]:
    """One job for each fault, one after the other; how they ended."""
    running.pause = lambda faults: 0.0
    settings = Settings(
        data=folder / "data", limits=Limits(free_bytes=0), threads=1, segment_frames=8, file_roots=(folder,)
    )
    prepare(settings, build(folder / "rectangles"))
    worker = Worker(settings)
    clip = clips.make(folder / "clip.mp4", FRAMES, audio="aac")
    ends: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for number in range(faults):
        step, kind = draw.choice(list(STEPS)), draw.choice(list(FAULTS))
        owner, name, last = STEPS[step]
        incoming = folder / f"incoming-{number}"
        incoming.mkdir()
        sent = Submission("clip", f"file://{clip}", Options(codec="h264"))
        job_id = worker.store.add(incoming, sent, worker.champion, 100)[0].id
        real = getattr(owner, name)
        once = Once(real, FAULTS[kind], draw.randint(1, last))
        setattr(owner, name, _method(once) if isinstance(owner, type) else once)
        worker.work()
        setattr(owner, name, real)
        worker.health.check()
        while worker.work():
            pass
        kinds[f"{kind} at {step}" if once.raised else "not reached"] += 1
        end = _end(worker, job_id)
        ends[end] += 1
        if end != "done":
            print(f"{kind} at {step}: {end}: {worker.store.get(job_id).error}", flush=True)
    worker.models.close()
    counts = {end: ends[end] for end in ("done", "failed", "lost", "frames lost or twice")}
    return {
        "faults": faults - kinds["not reached"], "not reached": kinds["not reached"],
        "kinds of fault": len(kinds) - ("not reached" in kinds),
    } | counts  # fmt: skip


def _method(call: Any) -> Any:
    return lambda self, *args, **kwargs: call(self, *args, **kwargs)


def _end(worker: Worker, job_id: str) -> str:
    """How the job ended; "done" with each frame once."""
    job = worker.store.get(job_id)
    if job.state != "done":
        return "failed" if job.state == "failed" else "lost"
    results = worker.store.files.folder(job_id) / "result"
    lines = (results / "detections.jsonl").read_text().splitlines()
    numbers = [json.loads(line)["frame"] for line in lines]
    shown = len(clips.facts_of(results / "video.mp4")["times"])  # type: ignore[arg-type]
    return "done" if numbers == list(range(FRAMES)) and shown == FRAMES else "frames lost or twice"


if __name__ == "__main__":
    main()
