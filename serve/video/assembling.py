"""Joins finished segments into a job's results: video with sound, JSON Lines, COCO results, preview, manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from PIL import Image

from serve import tasks
from serve.jobs.options import Container, Options
from serve.tasks.task import ServedExport, ServedTask
from serve.video.audio import copied
from serve.video.opening import VideoFacts
from serve.video.rgb import Pictures
from serve.video.segments import Segment, SegmentFolder
from trainers.files import replace_folder, write_text

PREVIEW_WIDTH, PREVIEW_RATE, PREVIEW_SECONDS = 320, 8, 4


def assemble(
    folder: Path,
    facts: VideoFacts,
    segments: list[Segment],
    kept: SegmentFolder,
    export: ServedExport,
    options: Options,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the results into `folder`, all or nothing, and return their manifest.

    kept: the folder of the segments. about: JSON values added to the manifest.
    """
    frames = sum(segment.frames for segment in segments)
    task = tasks.of(export)
    with replace_folder(folder) as new:
        files = {"detections": "detections.jsonl", "coco": "coco.json"}
        _join_lines(new / files["detections"], segments, kept)
        objects = _write_coco(new / files["coco"], new / files["detections"], task)
        if options.annotate:
            files["video"] = f"video.{options.suffix}"
            _join_videos(new / files["video"], segments, kept, options.suffix)
            if options.preview != "none":
                files["preview"] = f"preview.{options.preview}"
                _preview(new / files["preview"], new / files["video"])
        manifest = {
            "frames": frames,
            "objects": objects,
            "seconds": round(float(Fraction(segments[-1].end)), 3),
            "source": facts.to_dict(),
            "options": options.model_dump(),
            "model": {
                "export_id": export.export_id,
                "classes": list(export.classes),
                **task.settings(export, options),
                **{
                    k: export.manifest[k]
                    for k in ("task", "recipe_id", "detector", "model", "step", "study", "mlflow")
                    if k in export.manifest
                },
            },
            "files": files,
            **about,
        }
        write_text(new / "manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    return manifest


def _join_lines(path: Path, segments: list[Segment], kept: SegmentFolder) -> None:
    with path.open("wb") as joined:
        for segment in segments:
            joined.write(kept.lines(segment.number).read_bytes())


def _write_coco(path: Path, lines: Path, task: ServedTask) -> int:
    count = 0
    with lines.open(encoding="utf-8") as frames, path.open("w", encoding="utf-8") as file:
        for result in (each for line in frames for each in task.coco_results(json.loads(line))):
            file.write(("[" if not count else ",\n ") + json.dumps(result))
            count += 1
        file.write("]\n" if count else "[]\n")
    return count


def _join_videos(path: Path, segments: list[Segment], kept: SegmentFolder, container: Container) -> None:
    """Copy the packets of video and sound in order of time, without encoding again."""
    options = {"movflags": "+faststart"} if container == "mp4" else {"cues_to_front": "1"}
    with av.open(str(path), "w", options=options) as output:
        with av.open(str(kept.video(segments[0].number))) as first:
            stream = output.add_stream_from_template(first.streams.video[0], opaque=True)
        heard = copied(kept.sound, output) if kept.sound.exists() else iter(())
        waiting = next(heard, None)
        last = -1
        end = float(Fraction(segments[-1].end))
        for segment in segments:
            with av.open(str(kept.video(segment.number))) as file:
                for packet in file.demux(file.streams.video[0]):
                    if packet.pts is None:
                        continue
                    packet.pts = packet.dts = max(
                        packet.pts + round(segment.start_time / packet.time_base), last + 1
                    )
                    last = packet.pts
                    while waiting is not None and waiting[0] <= packet.pts * packet.time_base:
                        output.mux(waiting[1])
                        waiting = next(heard, None)
                    packet.stream = stream
                    output.mux(packet)
        while waiting is not None and waiting[0] < end:  # cut sound that is longer than the video
            output.mux(waiting[1])
            waiting = next(heard, None)


def _preview(path: Path, video: Path) -> None:
    """The first seconds as a small animation with few frames a second."""
    images = list(_small_frames(video))
    images[0].save(path, save_all=True, append_images=images[1:], duration=1000 // PREVIEW_RATE, loop=0)


def _small_frames(video: Path) -> Iterator[Image.Image]:
    first = None
    shown = 0
    pictures = Pictures()
    with av.open(str(video)) as file:
        for frame in file.decode(video=0):
            first = frame.time if first is None else first  # the sound may begin seconds before the pictures
            if frame.time - first > PREVIEW_SECONDS:
                return
            if (frame.time - first) * PREVIEW_RATE >= shown:
                shown += 1
                image = Image.fromarray(pictures.picture(frame))
                image.thumbnail((PREVIEW_WIDTH, PREVIEW_WIDTH))
                yield image
