"""What a trial costs more with studies in S3 than in a folder: seconds, bytes, and the steps' share of the time.

    .venv/bin/python tests/benchmarks/cluster/store_cost.py --trials 6 --megabytes 32

One worker trains the same trials both ways, in turns: 90 steps of 0.1 s, with a checkpoint of so many megabytes at each
of the rungs 10, 30 and 90. S3 is moto's server, in a process of its own here: without a network's latency, and slower
than a real one in bytes a second.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / each) for each in ("", "tests/tuning", "tests/benchmarks")]
from curve_trainer import DATASET, CurveTrainer  # noqa: E402
from machine import Others, machine  # noqa: E402
from searches import CONDITIONS, SPACE  # noqa: E402

from tuning.execution.stored_files import StoredFiles  # noqa: E402
from tuning.execution.worker import Assignment, Worker  # noqa: E402
from tuning.stores.opening import open_store  # noqa: E402
from tuning.study.trial_folder import RECIPE  # noqa: E402

OUT = Path(__file__).resolve().parents[1] / "results" / "store_cost.json"
RUNGS, PACE, PORT = (10, 30, 90), 0.1, 5557


class LargeCheckpoints(CurveTrainer):
    """A CurveTrainer whose checkpoints have this many bytes."""

    size = 0

    def save(self, directory: Path) -> Future[None]:
        written = super().save(directory)
        (directory / "variables").write_bytes(os.urandom(self.size))
        return written


def train(number: int, folder: Path, files: StoredFiles | None) -> tuple[float, float]:
    """Seconds that a trial takes its worker, and the share of them that its steps take."""
    recipe = SPACE.replay(SPACE.seeds(CONDITIONS)[0].params, CONDITIONS).recipe
    trial = files.folder(number) if files else folder / str(number)
    if files is None:
        trial.mkdir(parents=True)
        (trial / RECIPE).write_text(recipe.to_yaml())
    worker = Worker(lambda model, fold: LargeCheckpoints(DATASET, pace=PACE), "detection", files=files)
    began = time.monotonic()
    worker.begin(Assignment(number, recipe.to_dict(), trial, RUNGS))
    result = worker.step()
    while result.step < RUNGS[-1]:
        result = worker.step()
    seconds = time.monotonic() - began  # uploads may go on during the next trial
    return seconds, result.seconds_training / seconds


def main() -> None:
    """Measure, print and keep the result."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--trials", type=int, default=6)
    line.add_argument("--megabytes", type=float, default=32)
    chosen = line.parse_args()
    LargeCheckpoints.size = int(chosen.megabytes * 1e6)
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}", "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret",
    }  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(PORT)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    others = Others()
    try:
        until = time.monotonic() + 100
        while socket.socket().connect_ex(("127.0.0.1", PORT)) and time.monotonic() < until:
            time.sleep(0.2)
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="studies")
        with tempfile.TemporaryDirectory() as name:
            store = open_store("s3://studies/cost")
            files = StoredFiles(store, Path(name) / "copy", "study")
            found: dict[str, list[tuple[float, float]]] = {"folder": [], "s3": []}
            for number in range(chosen.trials):
                found["folder"].append(train(number, Path(name) / "folder", None))
                found["s3"].append(train(number, Path(name), files))
            began = time.monotonic()
            files.finish(600)
            left = time.monotonic() - began
            stored = sum(entry.size for entry in store.entries("study/"))
    finally:
        server.terminate()
        server.wait()
    result = {
        "machine": machine(),
        "others_cores": round(others.cores(), 2),
        "trials": chosen.trials,
        "megabytes": chosen.megabytes,
        **{
            way: {
                "seconds": round(statistics.median(seconds for seconds, _ in rows), 2),
                "share_of_steps": round(statistics.median(share for _, share in rows), 4),
            }
            for way, rows in found.items()
        },
        "stored_megabytes_a_trial": round(stored / chosen.trials / 1e6, 1),
        "uploaded_megabytes_a_trial": round(len(RUNGS) * chosen.megabytes, 1),
        "seconds_of_uploads_after_the_last_trial": round(left, 2),
    }
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
