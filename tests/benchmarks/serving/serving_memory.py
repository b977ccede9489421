"""Whether the memory that a video takes depends on its length: the peak for a long one and for a short one.

    .venv/bin/python tests/benchmarks/serving/serving_memory.py --model studies/mobilenet-toy-city/trials/0/export

Both have 25 frames a second of 320x240; each is annotated in a process of its own, as `serve.detect --local` does it.
All frames are decoded, drawn into and encoded; the network looks at every tenth unless told otherwise, to save time.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from serving_parts import generated, keep, way


def main() -> None:
    """See the module's docstring."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--model", type=Path, required=True)
    line.add_argument("--minutes", type=float, default=30)
    line.add_argument("--every", type=int, default=10)
    line.add_argument("--out", type=Path)
    chosen = line.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for seconds in (30, 60 * chosen.minutes):
            video = generated(Path(name) / "video.mp4", seconds, 240, 320)
            rows.append({"video_seconds": seconds} | way("ours", chosen.model, video, "vp8", chosen.every))
    short, long = (row["peak_mb"] for row in rows)
    keep(
        "serving_memory", {"every": chosen.every, "videos": rows, "long_over_short": long / short}, chosen.out
    )


if __name__ == "__main__":
    main()
