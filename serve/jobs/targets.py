"""The local files that a user wants of one video, and the options that produce them: for `serve.detect` and Detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from serve.jobs.options import Options
from trainers.errors import UserError


def checked_targets(
    video: str | Path | None,
    detections: str | Path | None,
    coco: str | Path | None,
    preview: str | Path | None,
) -> dict[str, Path]:
    """The paths that are not None, by name of the result. Raises UserError when all are None or a folder is missing."""
    given = {"video": video, "detections": detections, "coco": coco, "preview": preview}
    targets = {name: Path(path) for name, path in given.items() if path is not None}
    if not targets:
        raise UserError("no output was chosen; give at least one of out, detections, coco and preview")
    for target in targets.values():
        if not target.absolute().parent.is_dir():
            raise UserError(f"{target}: the folder does not exist; create it first")
        if target.is_dir():
            raise UserError(f"{target}: is a folder; give the name of a file")
    return targets


def options_for(
    targets: dict[str, Path], threshold: float | None = None, classes: Sequence[str] | None = None, every: int = 1,
    codec: str = "vp8", audio: bool = True, track: bool = False,
) -> Options:  # fmt: skip
    """Options of a job with these results: file suffixes decide the container, and h264 instead of vp8 for .mp4.

    Raises UserError naming the option, in one line.
    """
    container = targets["video"].suffix.lstrip(".").lower() if "video" in targets else None
    if container == "mp4" and codec == "vp8":
        codec = "h264"
    preview = targets["preview"].suffix.lstrip(".").lower() if "preview" in targets else "none"
    if isinstance(classes, str):
        raise UserError(f"classes must be a list of names, not the string {classes!r}")
    try:
        return Options.model_validate(
            {
                "threshold": threshold, "classes": classes, "every": every, "codec": codec, "container": container,
                "audio": audio, "track": track, "preview": preview,
                "annotate": "video" in targets or "preview" in targets,
            }
        )  # fmt: skip
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "options"
        raise UserError(f"{where}: {first['msg']}; not {first['input']!r}") from None
