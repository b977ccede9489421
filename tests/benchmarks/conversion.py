"""How fast COCO becomes TFRecords here, beside a plain single-process script over the API's own `create_coco_tf_record`.

    .venv/bin/python tests/benchmarks/conversion.py --images 10000 --rounds 5 --out conversion.json

    .venv/bin/python tests/benchmarks/conversion.py --against ../earlier        # another checkout, instead of the script

Both convert the same generated images in a process of their own, in turns; a ratio is of two runs that followed one
another. "command" is the whole process with its imports, as a person waits for it, here of
`python -m trainers.datasets convert`; "work" is without the imports, most of which are TensorFlow's in the plain script;
"cpu" is the CPU time of that work in all its processes. Here the work is more than the script's: images are checked to
their last byte, split, shuffled, told from doubles and fingerprinted.
The images' files differ in size, as photographs do. Memory is the peak of resident memory of all its processes together
at 1,000 images and at --images.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from machine import machine
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from trainers.datasets import formats  # noqa: E402
from trainers.datasets.records.checked_image import CheckedImage  # noqa: E402
from trainers.datasets.toy_city.generating import labelled_scene  # noqa: E402
from trainers.datasets.toy_city.scenes import ToyCity  # noqa: E402

DRAWN = 200  # scenes; each is used again with another comment in its JPEG, so that no two files are the same
_LONGEST_COMMENT = 8000  # bytes, about half a scene's

PLAIN = """
import os, sys, time
from trainers.object_detection_api import compat
compat.install()
from object_detection.dataset_tools import create_coco_tf_record as api
began, busy = time.perf_counter(), sum(os.times()[:4])
api._create_tf_record_from_coco_annotations(
    sys.argv[1] + "/annotations/instances_train.json", sys.argv[1] + "/images/train", sys.argv[2], False, num_shards=20)
print("work", time.perf_counter() - began, sum(os.times()[:4]) - busy)
"""
OURS = """
import os, sys, time
from trainers.datasets.__main__ import main
began, busy = time.perf_counter(), sum(os.times()[:4])
assert main(["convert", *sys.argv[1:]]) == 0
print("work", time.perf_counter() - began, sum(os.times()[:4]) - busy)
"""


def images(count: int) -> Iterator[CheckedImage]:
    """`count` JPEGs that are all different."""
    city = ToyCity()
    drawn = [labelled_scene(city, "train", number) for number in range(min(count, DRAWN))]
    lengths = random.Random(1)
    for number in range(count):
        one = drawn[number % len(drawn)]
        comment = b"%08d" % number + bytes(lengths.randrange(_LONGEST_COMMENT))
        data = one.image[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + one.image[2:]
        yield replace(one, name=f"{number:06d}.jpg", image=data)


def run(script: str, source: Path, target: Path, root: Path = ROOT) -> dict[str, float]:
    """Seconds of the whole process and of its work, CPU seconds of that, and the peak of its processes' memory in MB.

    root: the checkout whose code runs.
    """
    environment = os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # compiling the modules anew takes a tenth of a short run
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(source), str(target)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=root,
    )  # fmt: skip
    peak = [0.0]
    watch = threading.Thread(target=_watch, args=(process, peak))
    watch.start()
    out, err = process.communicate()
    seconds = time.perf_counter() - began
    watch.join()
    if process.returncode:
        raise SystemExit(err[-3000:])
    work, cpu = next(map(float, line.split()[1:]) for line in out.splitlines() if line.startswith("work "))
    return {"command": seconds, "work": work, "cpu": cpu, "memory": peak[0]}


def _watch(process: subprocess.Popen[str], peak: list[float]) -> None:
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(process.pid)
            peak[0] = max(peak[0], sum(map(_own, (first, *first.children(recursive=True)))))
        time.sleep(0.05)  # sampling


def _own(process: psutil.Process) -> float:
    """MB that a process has in memory of its own, without what it shares, such as with the one that forked it."""
    try:
        return process.memory_full_info().uss / 1e6
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0


def measure(count: int, rounds: int, against: Path | None = None) -> dict[str, Any]:
    """Everything, as the JSON holds it. against: a checkout to compare with; None for the plain script."""
    sides = {"plain": (PLAIN, ROOT) if against is None else (OURS, against.absolute()), "ours": (OURS, ROOT)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        runs: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
        source, few = folder / "many", folder / "few"
        for where, number in ((source, count), (few, 1000)):
            where.mkdir()
            formats.named("coco").write(where, ToyCity().classes, {"train": images(number)})
        # once before, so that modules are compiled and files are in the page cache
        for name, (script, root) in sides.items():
            run(script, few, folder / f"before_{name}", root)
        for _ in range(rounds):
            for name, (script, root) in sides.items():
                target = folder / "out"
                target.mkdir()
                runs[name].append(run(script, source, target / "coco", root))
                shutil.rmtree(target)
        small = run(OURS, few, folder / "out_of_few")["memory"]
    ratios = {
        kind: [plain[kind] / ours[kind] for plain, ours in zip(runs["plain"], runs["ours"], strict=True)]
        for kind in ("command", "work", "cpu")
    }
    return {
        "images": count,
        "against": "the plain script" if against is None else str(against),
        "machine": machine(),
        "runs": runs,
        "times_faster": {kind: _spread(values) for kind, values in ratios.items()},
        "memory_mb": {
            "1000 images": small,
            **{f"{count} images, {name}": max(one["memory"] for one in runs[name]) for name in runs},
        },
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def table(result: dict[str, Any]) -> Table:
    """What was measured, for people."""
    shown = Table(
        title=f"{result['images']} images on {result['machine']['cores']} cores", title_justify="left"
    )
    for column in ("", f"{result['against']}, images/s", "here, images/s", "times faster (least to most)"):
        shown.add_column(column, justify="right")
    for kind in ("command", "work", "cpu"):
        speeds = [
            f"{result['images'] / statistics.median(one[kind] for one in result['runs'][name]):,.0f}"
            for name in ("plain", "ours")
        ]
        ratio = result["times_faster"][kind]
        shown.add_row(kind, *speeds, f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})")
    for what, megabytes in result["memory_mb"].items():
        shown.add_row(f"memory, {what}", "", f"{megabytes:.0f} MB", "")
    return shown


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--images", type=int, default=10_000)
    line.add_argument("--rounds", type=int, default=5)
    line.add_argument(
        "--against", type=Path, metavar="DIR", help="another checkout, instead of the plain script"
    )
    line.add_argument("--out", type=Path, help="write JSON there")
    options = line.parse_args()
    result = measure(options.images, options.rounds, options.against)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    Console(width=110).print(table(result))


if __name__ == "__main__":
    main()
