"""Annotates one video: the pipeline and the assembling of its results, for jobs and for serve.Detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from serve.backends.batching import Batcher
from serve.jobs.limits import Limits
from serve.jobs.options import Options
from serve.jobs.progress import Progress
from serve.tasks.task import ServedExport
from serve.video.assembling import assemble
from serve.video.opening import VideoFacts
from serve.video.pipeline import SEGMENT_FRAMES, Shadow, VideoPipeline

WORK, RESULT = "work", "result"  # in the folder of a job


def annotate(
    source: Path,
    facts: VideoFacts,
    folder: Path,
    export: ServedExport,
    batcher: Batcher,
    options: Options,
    limits: Limits,
    report: Callable[[Progress], None],
    about: Mapping[str, Any],
    threads: int,
    segment_frames: int = SEGMENT_FRAMES,
    with_seconds: bool = False,
    shadow: Shadow | None = None,
    on_segment: Callable[[int], None] = lambda number: None,
) -> dict[str, Any]:
    """Write the results to `folder`/result and return their manifest; `folder`/work holds the finished segments.

    Called again after a kill, it resumes after the last finished segment. report, shadow, on_segment: see VideoPipeline.
    about: JSON values added to the manifest. threads: CPU threads. with_seconds: add the seconds of each stage to the
    manifest; the network's are right only if nothing else uses `batcher`.
    Raises Refused when no frame can be decoded or the video exceeds a limit, NetworkFailed when the model fails,
    Cancelled when `report` does.
    """
    network_before = batcher.network.sum
    pipeline = VideoPipeline(
        source,
        facts,
        folder / WORK,
        export,
        batcher,
        options,
        limits,
        report,
        threads,
        segment_frames,
        shadow,
        on_segment,
    )
    segments = pipeline.run()
    about = {"damaged": pipeline.progress.damaged, "notes": pipeline.notes, **about}
    if with_seconds:
        seconds = {name: stage.sum for name, stage in pipeline.progress.stages.items()}
        seconds["network"] = batcher.network.sum - network_before
        about["stage_seconds"] = {name: round(float(value), 3) for name, value in seconds.items()}
    return assemble(folder / RESULT, facts, segments, pipeline.segments, export, options, about)
