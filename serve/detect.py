"""`python -m serve.detect video.mp4 --out out.webm`: one video, by a server (--url) or in this process (--local)."""

from __future__ import annotations

import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from serve.client import Client
from serve.jobs.options import Options
from serve.run import TOKEN
from trainers.command import Parser, run
from trainers.errors import UserError


def parser() -> Parser:
    """The command line."""
    line = Parser(prog="python -m serve.detect", description="Draws what a detector finds into a video.")
    add = line.add_argument
    add("video", type=Path)
    add("--out", type=Path, help="the annotated video (.webm or .mp4)")
    add("--detections", type=Path, help="JSON Lines of what was found")
    add("--coco", type=Path, help="the same as COCO results")
    add("--preview", type=Path, help="a short animation (.gif or .webp)")
    add("--url", default="http://127.0.0.1:8000", help="of the server (default: http://127.0.0.1:8000)")
    add("--token", help=f"of the server (default: ${TOKEN})")
    add("--local", action="store_true", help="use no server; needs --study or --model")
    add("--study", help="with --local: the best trial of this study")
    add("--studies-dir", type=Path, default=Path("studies"), help="(default: ./studies)")
    add("--model", help="with --local: an export's folder, or models:/NAME@ALIAS")
    add("--backend", help="with --local: openvino or tensorflow (default: the faster one here)")
    add("--threshold", type=float, help="smallest score (default: the model's own)")
    add("--classes", nargs="+", help="only these")
    add("--every", type=int, default=1, help="look at every n-th frame (default: 1)")
    add(
        "--codec",
        default="vp9",
        help="vp9, av1, or h264 (by x264, which is under the GPL, and under patents); default: vp9, or h264 for .mp4",
    )
    add("--no-audio", action="store_true", help="leave the sound out")
    add("--track", action="store_true", help="give objects ids")
    add("--debug", action="store_true", help="show the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: Namespace) -> int:
    options = _options(chosen)
    wanted = {
        what: target
        for what, target in (
            ("video", chosen.out), ("detections", chosen.detections), ("coco", chosen.coco), ("preview", chosen.preview),
        )
        if target is not None
    }  # fmt: skip
    if not wanted:
        raise UserError("nothing is asked for; give --out VIDEO, --detections FILE or --coco FILE")
    for target in wanted.values():
        if not target.absolute().parent.is_dir():
            raise UserError(f"{target}: its folder is not there; make it first")
    if not chosen.video.is_file():
        raise UserError(f"{chosen.video}: no such file")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("frames", total=None, speed="")

        def shown(done: int, total: int, speed: float | None) -> None:
            bar.update(
                task, completed=done, total=total or None, speed=f"{speed:.1f} frames/s" if speed else ""
            )

        (_local if chosen.local else _remote)(chosen, options, wanted, shown)
    for what, target in wanted.items():
        print(f"{what}: {target}")
    return 0


def _options(chosen: Namespace) -> Options:
    codec = chosen.codec
    container = chosen.out.suffix.lstrip(".").lower() if chosen.out else None
    if container == "mp4" and codec == "vp9":
        codec = "h264"
    preview = chosen.preview.suffix.lstrip(".").lower() if chosen.preview else "none"
    try:
        return Options.model_validate(
            {
                "threshold": chosen.threshold, "classes": chosen.classes, "every": chosen.every, "codec": codec,
                "container": container, "audio": not chosen.no_audio, "track": chosen.track, "preview": preview,
                "annotate": chosen.out is not None or chosen.preview is not None,
            }
        )  # fmt: skip
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "options"
        raise UserError(f"{where}: {first['msg']}; not {first['input']!r}") from None


def _remote(
    chosen: Namespace,
    options: Options,
    wanted: dict[str, Path],
    shown: Callable[[int, int, float | None], None],
) -> None:
    token = chosen.token or os.environ.get(TOKEN)
    if not token:
        raise UserError(f"give the server's token with --token or in ${TOKEN}, or use --local")
    client = Client(chosen.url, token)
    job = client.submit(chosen.video, options)
    try:
        for latest in client.events(job["id"]):
            job = latest
            shown(job["frames"], job["frames_total"], job["frames_per_second"])
    except KeyboardInterrupt:
        client.delete(job["id"])
        raise
    if job["state"] != "done":
        raise UserError(f"{chosen.video}: {job['error'] or job['state']}")
    for what, target in wanted.items():
        client.fetch(job["id"], what, target)


def _local(
    chosen: Namespace,
    options: Options,
    wanted: dict[str, Path],
    shown: Callable[[int, int, float | None], None],
) -> None:
    from serve.backends import choosing
    from serve.exports.locating import located
    from serve.local import NO_LIMITS, annotated
    from serve.video import processing
    from serve.video.opening import probe
    from trainers.detection import export as exports

    probe(chosen.video, NO_LIMITS)  # before anything that takes longer
    export = exports.read(located(chosen.model, chosen.study, chosen.studies_dir))
    choice, backend = (
        choosing.choose(export, names=[chosen.backend]) if chosen.backend else choosing.chosen(export)
    )
    Console(stderr=True).print("\n".join(choice.table()), highlight=False)

    def heard(progress: processing.Progress) -> None:
        shown(progress.frames, progress.total, progress.frames_per_second)

    # beside the result, for the same disk has to take it
    beside = next(iter(wanted.values())).absolute().parent
    with tempfile.TemporaryDirectory(dir=beside, prefix=".detect-") as name:
        manifest = annotated(chosen.video, Path(name), export, choice, backend, options, heard)
        for what, target in wanted.items():
            (Path(name) / "result" / manifest["files"][what]).replace(target)


if __name__ == "__main__":
    sys.exit(main())
