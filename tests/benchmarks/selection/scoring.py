"""Scoring a pool for `tuning.select` against serving's batch path on the same images; and its memory.

    .venv/bin/python tests/benchmarks/selection/scoring.py --export EXPORT --images photos/ --count 2000
    .venv/bin/python tests/benchmarks/selection/scoring.py --export EXPORT --images photos/ --count 10000 --only pool

The images are copied under new names until there are --count. Both ways run in processes of their own, which take turns;
only the work on the images is timed, not loading. "pool" is score_pool into a new store; "serving" is
serve.Detector.detect of the files. Memory is the resident set at each tenth of the images.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))


def pool(export: Path, images: Path) -> dict[str, Any]:
    """As `tuning.select` scores a pool, with a strategy that needs nothing more than entropy does."""
    from tuning.selection.network import Network
    from tuning.selection.score_store import ScoreStore
    from tuning.selection.scoring import networks_for, score_pool
    from tuning.selection.strategies import get

    networks, _ = networks_for(get("entropy"), Network(export))
    memory: dict[int, int] = {}

    def progress(done: int, total: int) -> None:
        memory.setdefault(10 * done // total, psutil.Process().memory_info().rss >> 20)

    with tempfile.TemporaryDirectory() as folder, ScoreStore(Path(folder) / "scores.sqlite") as store:
        began, cpu = time.perf_counter(), time.process_time()
        found = score_pool(images, store, networks, progress=progress)
        return _row(found.scored, began, cpu) | {"megabytes": list(memory.values())}


def serving(export: Path, images: Path) -> dict[str, Any]:
    """As serving runs a list of images, on the same runtime."""
    from serve import Detector

    files = sorted(images.iterdir())
    with Detector(export, backend="openvino") as detector:
        began, cpu = time.perf_counter(), time.process_time()
        found = detector.detect(files)
        return _row(len(found), began, cpu)


def _row(images: int, began: float, cpu: float) -> dict[str, Any]:
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"images": images, "images_per_second": images / seconds, "cpu_ms_an_image": 1000 * cpu / images}


WAYS = {"pool": pool, "serving": serving}


def main() -> None:
    """See the module's docstring."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--export", type=Path, required=True)
    line.add_argument("--images", type=Path, required=True)
    line.add_argument("--count", type=int, default=2000)
    line.add_argument("--rounds", type=int, default=3)
    line.add_argument("--only", choices=WAYS, help="one way, once")
    line.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    chosen = line.parse_args()
    if chosen.way:
        print(json.dumps(WAYS[chosen.way](chosen.export, chosen.images)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = sorted(each for each in chosen.images.rglob("*") if each.suffix in (".jpg", ".png"))
        for place in range(chosen.count):
            file = files[place % len(files)]
            (folder / f"{place:06d}{file.suffix}").write_bytes(file.read_bytes())
        for _ in range(1 if chosen.only else chosen.rounds):
            rows = {way: _run(way, chosen.export, folder) for way in ([chosen.only] if chosen.only else WAYS)}
            if not chosen.only:
                for name, better in (("images_per_second", 1), ("cpu_ms_an_image", -1)):
                    ratio = (rows["pool"][name] / rows["serving"][name]) ** better
                    rows[f"pool of serving, {name}"] = round(ratio, 3)
            print(json.dumps(rows), flush=True)


def _run(way: str, export: Path, images: Path) -> dict[str, Any]:
    words = [sys.executable, __file__, "--way", way, "--export", str(export), "--images", str(images)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
