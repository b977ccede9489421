"""The command with studies in S3: it goes on from another machine after the first one's disk is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tuning.stores import location

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parents[1]
pytestmark = pytest.mark.slow(60)


def ran(machine: Path, module: str, *more: str) -> str:
    environment = os.environ | {
        location.CACHE_VARIABLE: str(machine),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}",
    }
    line = [sys.executable, "-m", module, *more, "--studies-dir", "s3://studies/here"]
    done = subprocess.run(line, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.usefixtures("bucket")
def test_a_search_in_s3_is_extended_and_reported_on_machines_that_never_saw_it(s3_store, city, tmp_path):
    for name in ("machine-1", "machine-2"):
        data = tmp_path / name / Path(location.working_copy(s3_store.uri)).name / "data"
        data.parent.mkdir(parents=True, exist_ok=True)
        data.symlink_to(city)
    search = ["--space", "mobilenet", "--trainer", "curve_trainer:CurveTrainer", "--max-steps", "90"]
    said = ran(tmp_path / "machine-1", "tuning.run", *search, "--workers", "1", "--trials", "3")
    assert "uploading the data to s3://studies/here/data/" in said
    first = json.loads(s3_store.read("mobilenet-toy-city/summary.json")[0])
    assert len(first["trials"]) == 3
    best = first["best"]["trial"]
    keys = {entry.key for entry in s3_store.entries(f"mobilenet-toy-city/trials/{best}/")}
    prefix = f"mobilenet-toy-city/trials/{best}/"
    names = ("recipe.yaml", "metrics.jsonl", "files.json", "pipeline.config", "checkpoint-90.json")
    assert keys >= {prefix + name for name in names}

    shutil.rmtree(tmp_path / "machine-1")
    ran(tmp_path / "machine-2", "tuning.run", *search, "--workers", "1", "--trials", "4")
    second = json.loads(s3_store.read("mobilenet-toy-city/summary.json")[0])
    assert second["trials"][:3] == first["trials"]
    assert len(second["trials"]) == 4

    said = ran(tmp_path / "machine-3", "tuning.report", "mobilenet-toy-city", "--format", "json")
    costs = json.loads(said)["sections"]["cost"]["total"]
    assert costs["trials"] == 4
    assert costs["bytes_sent"] > 0 == costs["bytes_received"], "all is trained where its checkpoint is"


@pytest.mark.long
@pytest.mark.usefixtures("bucket")
def test_a_population_in_s3_goes_on_from_checkpoints_in_the_store(s3_store, city, tmp_path):
    for name in ("machine-1", "machine-2"):
        data = tmp_path / name / Path(location.working_copy(s3_store.uri)).name / "data"
        data.parent.mkdir(parents=True, exist_ok=True)
        data.symlink_to(city)
    search = ["--space", "mobilenet", "--trainer", "curve_trainer:DriftingTrainer", "--max-steps", "90"]
    search += ["--workers", "1", "--scheduler", "pbt"]
    said = ran(tmp_path / "machine-1", "tuning.run", *search, "--trials", "4")
    assert "checkpoint is gone" not in said
    assert "failed" not in said  # as the trainer would, with a checkpoint of another recipe than is said
    first = json.loads(s3_store.read("mobilenet-toy-city/summary.json")[0])["trials"]
    assert [trial["state"] for trial in first].count("completed") == 4
    assert any("began_from" in trial for trial in first)

    shutil.rmtree(tmp_path / "machine-1")
    ran(tmp_path / "machine-2", "tuning.run", *search, "--trials", "6")
    second = json.loads(s3_store.read("mobilenet-toy-city/summary.json")[0])["trials"]
    assert second[: len(first)] == first
    assert [trial["state"] for trial in second].count("completed") == 6
