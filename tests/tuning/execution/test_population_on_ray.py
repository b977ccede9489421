"""Population based training by the command, on real Ray: what it leaves, after a kill too, and with a real detector."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from tuning.run import main

ROOT = Path(__file__).parents[3]
STUDY = "mobilenet-toy-city"

pytestmark = [pytest.mark.usefixtures("furnished")]


def command(studies: Path, *more: str) -> list[str]:
    return [
        *("--space", "mobilenet", "--studies-dir", str(studies), "--scheduler", "pbt", "--trials", "4"),
        *("--max-steps", "90", "--sampler", "random", *more),
    ]


FORMULA = ("--trainer", "curve_trainer:DriftingTrainer")


def outcome(studies: Path) -> list[dict]:
    return json.loads((studies / STUDY / "summary.json").read_text())["trials"]


def checked(studies: Path, members: int = 4) -> list[dict]:
    """The trials, whose weights are the ones that are said."""
    trials = outcome(studies)
    forked = [trial for trial in trials if "began_from" in trial]
    assert forked
    assert [trial["state"] for trial in trials].count("completed") == members
    for trial in forked:
        origin = trial["began_from"]
        donor, replaced = trials[origin["of"]], trials[origin["instead_of"]]
        assert donor["recipe"]["optimizer"]["kind"] == trial["recipe"]["optimizer"]["kind"]
        assert origin["step"] in [rung["step"] for rung in donor["rungs"]]
        assert replaced["reason"].startswith(f"replaced at step {origin['step']} by trial {trial['trial']}")
        assert trial["rungs"][0]["step"] > origin["step"]
    client = MlflowClient(f"sqlite:///{studies / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name(STUDY).experiment_id])
    tags = {run.data.tags["tuning.trial"]: run.data.tags for run in runs if "tuning.trial" in run.data.tags}
    assert sorted(map(int, tags)) == [trial["trial"] for trial in trials]
    for trial in forked:
        told = tags[str(trial["trial"])]
        origin = {name: int(told[f"provenance.{key}"]) for name, key in
                  (("of", "forks"), ("step", "at_step"), ("instead_of", "instead_of"))}  # fmt: skip
        assert origin == trial["began_from"]
    return trials


@pytest.mark.slow(60)
def test_a_population_ends_with_whose_weights_each_trial_has(local_ray, tmp_path, capsys):
    assert main(command(tmp_path, *FORMULA, "--workers", "2")) == 0
    trials = checked(tmp_path)
    said = capsys.readouterr().out
    last = trials[-1]
    origin = last["began_from"]
    assert (
        f"(trial {origin['of']} from step {origin['step']}, in place of trial {origin['instead_of']})" in said
    )
    assert "steps    about 360; 360 if none were stopped early" in said
    for trial in trials:
        folder = tmp_path / STUDY / "trials" / str(trial["trial"])
        cost = json.loads((folder / "cost.json").read_text())
        assert cost["steps"] == trial["rungs"][-1]["step"] - trial.get("began_from", {"step": 0})["step"]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_population_whose_driver_is_killed_ends_as_one_that_was_not(tmp_path, city, store):
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parents[1])])
    found = {}
    for kind, whens in (("whole", ()), ("killed", ("trial 3 step 30", "trial 4 starts", "trial 4 step 60"))):
        studies = tmp_path / kind
        studies.mkdir()
        (studies / "data").symlink_to(city)
        (studies / "mlflow.db").write_bytes(store.read_bytes())
        for when in (*whens, None):
            pace = {"CURVE_TROUBLE": json.dumps({"pace": 0.05 if when else 0.0})}
            driver = psutil.Popen(
                [sys.executable, "-m", "tuning.run", *command(studies, *FORMULA, "--workers", "1")],
                env=os.environ | pace | {"PYTHONPATH": paths}, cwd=tmp_path, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert driver.stdout is not None
            for line in driver.stdout:
                if when is not None and line.startswith(when):
                    driver.kill()
                    break
            driver.communicate()
            assert (driver.returncode == 0) == (when is None)
        found[kind] = [
            (
                t["trial"],
                t["state"],
                t["recipe_id"],
                t.get("began_from"),
                [(r["step"], r["value"]) for r in t["rungs"]],
            )
            for t in checked(studies)
        ]
    assert found["killed"] == found["whole"]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_detectors_go_on_from_the_weights_of_a_better_one(local_ray, tmp_path, capsys):
    small = ("--image-size", "160", "--batch-size", "2", "--early-images", "20", "--study", STUDY)
    assert main(command(tmp_path, "--workers", "1", "--max-steps", "60", "--trials", "3", *small)) == 0
    trials = checked(tmp_path, 3)
    said = capsys.readouterr().out
    assert "checkpoint is gone" not in said
    for trial in trials:
        log = tmp_path / STUDY / "trials" / str(trial["trial"]) / "metrics.jsonl"
        steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
        began = trial.get("began_from", {"step": 0})["step"]
        assert steps[0] == began + 1
        if began:
            first = json.loads(log.read_text().splitlines()[0])["metrics"]["training_loss/total"]
            assert first < loss_at(tmp_path, trial["began_from"]["instead_of"], 1)  # of fresh weights
    assert not re.search(r"\bfailed\b", said)


def loss_at(studies: Path, trial: int, step: int) -> float:
    """The training loss of a trial that began with fresh weights, or whatever it began with."""
    log = studies / STUDY / "trials" / str(trial) / "metrics.jsonl"
    return json.loads(log.read_text().splitlines()[step - 1])["metrics"]["training_loss/total"]
