"""`python -m serve.detect video.mp4 --out found.webm`: runs a model on one video, on a server or in this process."""

from __future__ import annotations

import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from serve.client import DEFAULT_URL, TOKEN_VARIABLE, Unreachable, connect
from serve.exports.locating import add_flags
from serve.jobs.options import Options
from serve.jobs.targets import checked_targets, options_for
from trainers.command import Parser, run
from trainers.errors import UserError

EXAMPLES = """\
examples:
  python -m serve.detect drive.mp4 --out found.webm --token TOKEN              on a server started by serve.run
  python -m serve.detect drive.mp4 --out found.mp4 --local --study street      in this process, a study's best trial
  python -m serve.detect drive.mp4 --detections found.jsonl --local --model exports/best
  python -m serve.detect --job 20260102-030405-a1b2c3d4e5 --out found.webm     the results of a job sent before
"""
# flags that change nothing for a server, which has its model, and for a job that was sent before
OF_THE_MODEL = ("--study", "--model", "--threshold-for", "--backend", "--max-map-drop")
OF_THE_JOB = ("--threshold", "--classes", "--every", "--track", "--codec", "--no-audio")


def parser() -> Parser:
    """The command line."""
    line = Parser(
        prog="python -m serve.detect",
        description="Finds objects, or the pixels of each class, in a video and draws them into it.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    line.add_argument("video", type=Path, nargs="?", help="the video file")
    add = line.add_argument_group("output (at least one)").add_argument
    add("--out", type=Path, metavar="FILE", help="the annotated video, .webm or .mp4")
    add("--detections", type=Path, metavar="FILE", help="detections as JSON Lines, one line per frame")
    add("--coco", type=Path, metavar="FILE", help="detections as COCO results")
    add("--preview", type=Path, metavar="FILE", help="a short animation, .gif or .webp")
    add = line.add_argument_group("detection").add_argument
    add("--threshold", type=float, metavar="SCORE", help="minimum score (default: the model's own)")
    add("--classes", nargs="+", metavar="NAME", help="only these classes (default: all)")
    add("--every", type=int, default=1, metavar="N", help="detect on every N-th frame (default: 1)")
    add("--track", action="store_true", help="give objects ids that persist between frames")
    add = line.add_argument_group("video").add_argument
    add(
        "--codec",
        default="vp8",
        help="vp8, vp9, av1, or h264 (x264: GPL, patented); default: vp8, for .mp4 h264",
    )
    add("--no-audio", action="store_true", help="remove the sound")
    add = line.add_argument_group("on a server").add_argument
    add("--url", default=DEFAULT_URL, help=f"the server (default: {DEFAULT_URL})")
    add("--token", help=f"its token (default: ${TOKEN_VARIABLE})")
    add("--job", metavar="ID", help="wait for this job, sent before, instead of sending a video")
    add = line.add_argument_group("without a server").add_argument
    add("--local", action="store_true", help="run in this process, with --study or --model")
    add("--backend", help="openvino, openvino-int8, onnxruntime or tensorflow (default: the fastest one)")
    add(
        "--max-map-drop",
        type=float,
        metavar="X",
        help="mAP that int8 may lose to be used (default: 0.005; 0: never)",
    )
    add_flags(line, "model (with --local)")
    line.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: Namespace) -> int:
    targets = checked_targets(chosen.out, chosen.detections, chosen.coco, chosen.preview)
    choices = {
        "threshold": chosen.threshold, "classes": chosen.classes, "every": chosen.every, "codec": chosen.codec,
        "audio": not chosen.no_audio, "track": chosen.track,
    }  # fmt: skip
    options = options_for(targets, **choices)
    if (chosen.video is None) == (chosen.job is None):
        raise UserError("give either a video or --job ID")
    if not chosen.local and (unused := _given(chosen, OF_THE_MODEL)):
        raise UserError(f"{unused}: of a model in this process; add --local, or leave it out")
    if chosen.job is not None and (unused := _given(chosen, OF_THE_JOB)):
        raise UserError(f"{unused}: the job has its options since it was sent; leave it out")
    if chosen.job is not None and chosen.local:
        raise UserError("--job is for a server; leave out --local")
    if chosen.video is not None and not chosen.video.is_file():
        raise UserError(f"{chosen.video}: no such file")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("frames", total=None, speed="")

        def show(done: int, total: int, speed: float | None) -> None:
            text = f"{speed:.1f} frames/s" if speed else ""
            bar.update(task, completed=done, total=total or None, speed=text)

        if chosen.local:
            _local(chosen, choices, show)
        else:
            _remote(chosen, options, targets, show)
    for what, target in targets.items():
        print(f"{what}: {target}")
    return 0


def _given(chosen: Namespace, flags: Sequence[str]) -> str:
    """Which of the flags have another value than their default."""
    usual = vars(parser().parse_args([]))
    names = {flag: flag.removeprefix("--").replace("-", "_") for flag in flags}
    return ", ".join(flag for flag, name in names.items() if vars(chosen)[name] != usual[name])


def _remote(
    chosen: Namespace,
    options: Options,
    targets: dict[str, Path],
    show: Callable[[int, int, float | None], None],
) -> None:
    client = connect(chosen.url, chosen.token, ", or use --local")
    if chosen.job is None:
        job = client.submit(chosen.video, options)
        print(f"job {job['id']}; its results can be fetched later with --job {job['id']}", file=sys.stderr)
    else:
        job = client.job(chosen.job)
    try:
        for latest in client.events(job["id"]):
            job = latest
            show(job["frames"], job["frames_total"], job["frames_per_second"])
    except KeyboardInterrupt:
        if chosen.job is None:
            client.delete(job["id"])
        raise
    except Unreachable as error:
        raise Unreachable(f"{error}; fetch the results later with --job {job['id']}") from None
    if job["state"] != "done":
        raise UserError(f"{chosen.video or job['id']}: {job['error'] or job['state']}")
    if "video" in targets and targets["video"].suffix.lstrip(".").lower() != _container(job):
        raise UserError(f"{targets['video']}: the job made a .{_container(job)} file; give --out that suffix")
    for what, target in targets.items():
        client.fetch(job["id"], what, target)


def _container(job: dict[str, Any]) -> str:
    return Options.model_validate(job["options"]).suffix


def _local(
    chosen: Namespace, choices: dict[str, object], show: Callable[[int, int, float | None], None]
) -> None:
    from serve.jobs.limits import NO_LIMITS
    from serve.local_model import LocalModel
    from serve.video.opening import probe

    if chosen.study is None and chosen.model is None:
        raise UserError("no model was chosen; give --study NAME or --model FOLDER")
    if chosen.study is not None and chosen.model is not None:
        raise UserError("give either --study or --model")
    probe(chosen.video, NO_LIMITS)  # before loading the model, which takes longer
    with LocalModel(
        chosen.model,
        study=chosen.study,
        studies_dir=chosen.studies_dir,
        tracking_uri=chosen.tracking_uri,
        threshold_for=chosen.threshold_for,
        backend=chosen.backend,
        **({} if chosen.max_map_drop is None else {"max_map_drop": chosen.max_map_drop}),
    ) as model:
        Console(stderr=True).print("\n".join(model.choice.table()), highlight=False)
        model.annotate(
            chosen.video, chosen.out, detections=chosen.detections, coco=chosen.coco, preview=chosen.preview,
            report=lambda progress: show(progress.frames, progress.total, progress.frames_per_second),
            **choices,  # type: ignore[arg-type]
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
