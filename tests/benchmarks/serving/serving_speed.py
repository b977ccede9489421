"""End-to-end frames a second: here, in the way notebooks do it, and each stage alone.

    .venv/bin/python tests/benchmarks/serving/serving_speed.py --trial studies/mobilenet-toy-city/trials/0 --video cars

The trial's folder has the export that is served (export/) and the checkpoint of which the API's own exporter makes the
notebook's. "notebook" is the usual loop over that, "notebook_ours" the same loop over the served SavedModel. Rounds take
turns; a ratio is of two runs that followed one another.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from serving_parts import CARS, generated, keep, way


def speed(trial: Path, video: Path, rounds: int, codec: str, folder: Path) -> list[dict[str, Any]]:
    """A row for each round."""
    way("stock", trial, folder)
    model, rows = trial / "export", []
    for _ in range(rounds):
        row = {
            "notebook": way("notebook", model, video, folder / "out.mp4", folder / "out" / "saved_model"),
            "ours": way("ours", model, video, codec),
            "notebook_ours": way("notebook", model, video, folder / "out.mp4", model / "saved_model"),
            "alone": way("alone", model, video, folder / "out.webm", codec),
        }
        here = row["ours"]["frames_per_second"]
        slowest = min(row["alone"][stage] for stage in ("decode", "network", "encode"))
        ratios = {
            "times_notebook": here / row["notebook"]["frames_per_second"],
            "times_notebook_ours": here / row["notebook_ours"]["frames_per_second"],
            "of_slowest_stage": here / slowest,
        }
        rows.append(row | ratios)
    return rows


def main() -> None:
    """See the module's docstring."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--trial", type=Path, required=True)
    line.add_argument("--video", choices=("cars", "720p"), default="cars")
    line.add_argument("--codec", default="vp9")
    line.add_argument("--rounds", type=int, default=3)
    line.add_argument("--out", type=Path)
    chosen = line.parse_args()
    with tempfile.TemporaryDirectory() as name:
        video = CARS if chosen.video == "cars" else generated(Path(name) / "720p.mp4", 15)
        rows = speed(chosen.trial, video, chosen.rounds, chosen.codec, Path(name))
    said = {"video": chosen.video, "codec": chosen.codec, "trial": "/".join(chosen.trial.parts[-3:])}
    keep("serving_speed", said | {"rounds": rows}, chosen.out)


if __name__ == "__main__":
    main()
