"""End-to-end frames a second: here, with each backend, in the way notebooks do it, and each stage alone.

    .venv/bin/python tests/benchmarks/serving/serving_speed.py --trial studies/mobilenet-toy-city/trials/0 --video cars
    .venv/bin/python tests/benchmarks/serving/serving_speed.py --trial ... --backends openvino openvino-int8

The trial's folder has the export that is served (export/) and the checkpoint of which the API's own exporter makes the
notebook's; "notebook" is the usual loop over that. Rounds take turns; a ratio is of two runs of one round. The bound is
the speed at which the stages' work would keep all CPUs busy, as each stage alone keeps them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving_parts import CARS, generated, keep, way


def speed(
    trial: Path, video: Path, rounds: int, codec: str, backends: Sequence[str], sound: str, folder: Path
) -> list[dict[str, Any]]:
    """A row for each round."""
    way("stock", trial, folder)
    model, rows = trial / "export", []
    for _ in range(rounds):
        notebook = way("notebook", model, video, folder / "out.mp4", folder / "out" / "saved_model")
        row: dict[str, Any] = {"notebook": notebook}
        for backend in backends:
            ours = way("ours", model, video, codec, 1, backend, sound)
            alone = way("alone", model, video, folder / "out.webm", codec, backend)
            bound = 1 / sum(1 / alone[stage] for stage in ("decode", "resize", "network", "encode"))
            row[backend] = {
                "ours": ours,
                "alone": alone,
                "times_notebook": ours["frames_per_second"] / notebook["frames_per_second"],
                "times_notebook_at_bound": bound / notebook["frames_per_second"],
                "times_less_cpu": notebook["cpu_ms_a_frame"] / ours["cpu_ms_a_frame"],
            }
        rows.append(row)
    return rows


def main() -> None:
    """See the module's docstring."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--trial", type=Path, required=True)
    line.add_argument("--video", choices=("cars", "720p"), default="cars")
    line.add_argument("--codec", default="vp8")
    line.add_argument("--backends", nargs="+", default=["openvino"], metavar="NAME")
    line.add_argument("--no-audio", action="store_true", help="leave out the sound, as the notebook does")
    line.add_argument("--rounds", type=int, default=3)
    line.add_argument("--out", type=Path)
    chosen = line.parse_args()
    with tempfile.TemporaryDirectory() as name:
        video = CARS if chosen.video == "cars" else generated(Path(name) / "720p.mp4", 15)
        sound = "no" if chosen.no_audio else "sound"
        rows = speed(chosen.trial, video, chosen.rounds, chosen.codec, chosen.backends, sound, Path(name))
    said = {
        "sound": sound,
        "video": chosen.video,
        "codec": chosen.codec,
        "trial": "/".join(chosen.trial.parts[-3:]),
    }
    keep("serving_speed", said | {"rounds": rows}, chosen.out)


if __name__ == "__main__":
    main()
