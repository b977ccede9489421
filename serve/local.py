"""One video from end to end in this process, without a server: what `serve.detect --local` does, and a job's work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from serve.backends import measuring
from serve.backends.backend import Backend
from serve.backends.batching import Batcher
from serve.backends.choosing import Choice
from serve.jobs.limits import Limits
from serve.jobs.options import Options
from serve.video.assembling import assemble
from serve.video.opening import probe
from serve.video.processing import Process, Progress
from trainers.detection.export import Export

NO_LIMITS = Limits(
    upload_bytes=1 << 60, seconds=1e9, frames=1 << 60, free_bytes=0
)  # one's own machine, one's own video


def annotated(
    video: Path,
    folder: Path,
    export: Export,
    choice: Choice,
    backend: Backend,
    options: Options,
    heard: Callable[[Progress], None],
) -> dict[str, Any]:
    """Write the results into `folder`/result, and return their manifest; folder/work takes what is on its way.

    heard: told often where it stands. Raises Refused when it is no video that can be read.
    """
    facts = probe(video, NO_LIMITS)
    batcher = Batcher(backend, measuring.BATCH, export.threshold)
    process = Process(
        video, facts, folder / "work", export, batcher, options, NO_LIMITS, heard, threads=choice.threads
    )
    try:
        segments = process.run()
    finally:
        batcher.close()
    about = {
        "damaged": process.progress.damaged,
        "backend": choice.backend,
        "stage_seconds": {name: round(seconds, 3) for name, seconds in process.progress.stages.items()}
        | {"network": round(float(batcher.tally["seconds"]), 3)},
    }
    return assemble(folder / "result", facts, segments, process.segments, export, options, about)
