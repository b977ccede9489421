"""`python -m serve.latency EXPORT`: how long an exported network takes for one image on this machine, and its size."""

from __future__ import annotations

import json
import statistics
import sys
import time
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from serve import backends, tasks
from serve.backends.backend import Backend
from trainers.command import Parser, run
from trainers.errors import UserError
from trainers.hardware.contention import BUSY, Contention
from trainers.hardware.machine import cpus_here
from trainers.keras_training import start_up_lines

EXAMPLES = """\
examples:
  python -m serve.latency studies/street/trials/7/export                     with OpenVINO, on all CPUs
  python -m serve.latency exports/a exports/b --backend openvino --backend tensorflow --json

The median and the 95th percentile of single images, one after another, in milliseconds: the network and the suppression
of boxes, without decoding and resizing the image. Let nothing else run meanwhile: a busy machine is noticed and said.
Exit code: 0; 2 for wrong input.
"""
WARM_UP, LEAST = 3, 15  # runs


@dataclass(frozen=True)
class Latency:
    """A backend's milliseconds for one image.

    runs: that were timed. others: share of its CPUs that other programs used meanwhile (Contention.share).
    """

    median_ms: float
    p95_ms: float
    runs: int
    others: float = 0.0


def measure(backend: Backend, image: np.ndarray, seconds: float, threads: int) -> Latency:
    """Time single images for about so many seconds. image: (1, S, S, 3) uint8 RGB. threads: of the backend."""
    for _ in range(WARM_UP):
        backend.run(image)
    taken: list[float] = []
    contention = Contention(threads)
    while sum(taken) < seconds or len(taken) < LEAST:
        began = time.perf_counter()
        backend.run(image)
        taken.append(time.perf_counter() - began)
    others = round(contention.share(), 3)
    return Latency(
        1000 * statistics.median(taken), 1000 * float(np.quantile(taken, 0.95)), len(taken), others
    )


def parser() -> Parser:
    """The command line."""
    line = Parser(
        prog="python -m serve.latency",
        description="Measures how long exported networks take for one image on this machine.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    line.add_argument("exports", nargs="+", type=Path, metavar="EXPORT", help="folders of exports")
    line.add_argument("--backend", action="append", metavar="NAME", dest="backends",
                      help="such as openvino, onnxruntime, tensorflow; may be repeated (default: openvino)")  # fmt: skip
    line.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all)")
    line.add_argument("--seconds", type=float, default=3.0, metavar="N", help="for each backend (default: 3)")
    line.add_argument("--json", action="store_true", help="print a line of JSON for each export")
    line.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    start_up_lines.hide()
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: Namespace) -> int:
    if chosen.threads is not None and chosen.threads < 1:
        raise UserError(f"--threads must be at least 1, not {chosen.threads}")
    if not 0 < chosen.seconds < float("inf"):
        raise UserError(f"--seconds must be above 0, not {chosen.seconds:g}")
    threads = chosen.threads or cpus_here()
    for folder in chosen.exports:
        export = tasks.read(folder)
        image = tasks.of(export).sample_squares(export)[:1]
        rows = {
            name: measure(backends.load(name, export, threads), image, chosen.seconds, threads)
            for name in chosen.backends or ["openvino"]
        }
        megabytes = sum(path.stat().st_size for path in export.saved_model.rglob("*") if path.is_file()) / 1e6
        if chosen.json:
            found = {"backends": {name: asdict(row) for name, row in rows.items()}, "megabytes": megabytes}
            print(json.dumps({"export": str(folder), "threads": threads, **found}), flush=True)
            continue
        print(f"{folder}: {export.size} px, {megabytes:.1f} MB, {threads} threads")
        for name, row in rows.items():
            print(f"  {name:<14}{row.median_ms:8.1f} ms, 95% below {row.p95_ms:.1f} ms, {row.runs} runs")
            if row.others > BUSY:
                print(
                    f"  {name} may be faster: other programs used {row.others:.0%} of its CPUs; measure again alone"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
