"""The main job as its user runs it: the command, in a process of its own, on TensorFlow, Ray, Optuna and MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from trainers import recipe as recipes

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """Two short trials of the cheapest detector; what was said, and the studies' folder."""
    studies = tmp_path_factory.mktemp("true") / "studies"
    words = ["--space", "mobilenet", "--trials", "2", "--max-steps", "6", "--batch-size", "2", "--seed", "3"]
    done = subprocess.run(
        [sys.executable, "-m", "tuning.run", *words, "--studies-dir", str(studies)],
        cwd=ROOT, capture_output=True, text=True, timeout=540, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout, studies / "mobilenet-toy-city"


def test_every_trial_has_its_state_its_rungs_and_a_recipe_that_can_be_run_again(search):
    _, study = search
    summary = json.loads((study / "summary.json").read_text(encoding="utf-8"))
    assert [trial["trial"] for trial in summary["trials"]] == [0, 1]
    for trial in summary["trials"]:
        assert trial["state"] in ("completed", "pruned"), trial["reason"]
        assert all(0 <= rung["mAP"] <= 1 for rung in trial["rungs"])
        recipe = recipes.build(trial["recipe"])
        assert recipe.recipe_id == trial["recipe_id"]
        assert recipes.read(study / "trials" / str(trial["trial"]) / "recipe.yaml") == recipe
        assert trial["seconds_training"] > 0
        assert trial["seconds_overhead"] > 0
    total = sum(trial["seconds_training"] + trial["seconds_overhead"] for trial in summary["trials"])
    assert total < summary["wall_seconds"]


def test_the_winner_is_the_best_and_its_checkpoint_is_there(search):
    said, study = search
    summary = json.loads((study / "summary.json").read_text(encoding="utf-8"))
    best = summary["best"]
    assert best["mAP"] == max(trial["rungs"][-1]["mAP"] for trial in summary["trials"])
    assert (study / "trials" / str(best["trial"]) / "checkpoint-6" / "ckpt.index").is_file()
    assert best["recipe_id"] in said


def test_the_stored_pipeline_config_is_read_by_the_apis_own_tools(search):
    from trainers.object_detection_api import compat

    compat.install()
    from object_detection.utils import config_util

    _, study = search
    configs = config_util.get_configs_from_pipeline_file(str(study / "trials" / "0" / "pipeline.config"))
    assert configs["model"].ssd.num_classes == 3
    assert configs["train_config"].batch_size == 2
    assert Path(configs["train_input_config"].label_map_path).is_file()


def test_mlflow_has_the_study_and_each_trial_with_its_losses_by_step(search):
    _, study = search
    client = MlflowClient(f"sqlite:///{study.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(study.name)
    runs = client.search_runs([experiment.experiment_id])
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(children) == 2
    assert len(runs) == 3
    for child in children:
        last = max(point.step for point in client.get_metric_history(child.info.run_id, "mAP"))
        losses = client.get_metric_history(child.info.run_id, "training_loss/total")
        assert [point.step for point in losses] == list(range(1, last + 1))
