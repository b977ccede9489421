"""From one recipe to a served champion, on TensorFlow, the Object Detection API and MLflow, as their users run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serve.locating import located
from trainers import export as exports
from trainers import recipe as recipes
from trainers import samples
from tuning import curves, detections
from tuning.promote import main as promote

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # of a busy machine; two minutes of a quiet one
ROOT, HERE = Path(__file__).parents[2], Path(__file__).parent
RECIPE = recipes.build({
    "detector": "mobilenet", "image_size": 160, "batch_size": 2, "steps": 6, "optimizer": {"kind": "adam"},
    "schedule": {"kind": "cosine", "base": 0.002, "warmup": 0.2, "warmup_rate": 0.0002}, "averaging": 0.5,
    "augmentations": [{"name": "random_horizontal_flip"}, {"name": "random_adjust_brightness"}],
    "batch_norm_decay": 0.9, "seed": 7,
})  # fmt: skip


@pytest.fixture(scope="module")
def studies(store, tmp_path_factory) -> Path:
    """Two trainings of one recipe, the second by the command that MLflow holds of the first, which is exported."""
    studies = tmp_path_factory.mktemp("studies")
    (studies / "mlflow.db").write_bytes(store.read_bytes())
    (studies / "recipe.yaml").write_text(RECIPE.to_yaml())
    done = subprocess.run(
        [sys.executable, str(HERE / "train_twice.py"), str(studies / "recipe.yaml"), str(studies)],
        cwd=studies, env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return studies


def lines_of(trial: Path) -> list[dict[str, float]]:
    return [
        {"step": line["step"], **{k: v for k, v in line["metrics"].items() if k != "images_per_second"}}
        for _, line in curves.read(trial / "metrics.jsonl")
    ]


def test_the_command_that_mlflow_holds_gives_the_same_losses_and_the_same_map(studies):
    [again] = studies.glob("again-*")
    first, second = studies / "one" / "trials" / "0", again / "trials" / "0"
    assert [line["step"] for line in lines_of(first)] == [1, 2, 3, 4, 5, 6]
    assert lines_of(first) == lines_of(second)
    rungs = [
        json.loads((study / "summary.json").read_text())["trials"][0]["rungs"]
        for study in (studies / "one", again)
    ]
    assert [rung["mAP"] for rung in rungs[0]] == [rung["mAP"] for rung in rungs[1]]


def test_what_was_found_is_kept_and_drawn(studies):
    trial = studies / "one" / "trials" / "0"
    assert len(detections.read(trial, 6)) == 5
    assert {path.name for path in (trial / "pictures").iterdir()} >= {
        "validation.jpg",
        "confusion.png",
        "loss.png",
    }
    assert (studies / "one" / "split.csv").is_file()


def test_the_apis_own_tools_build_the_model_and_the_batches_of_the_stored_config(studies):
    from trainers.object_detection_api import compat

    compat.install()
    from object_detection import inputs
    from object_detection.builders import model_builder
    from object_detection.utils import config_util

    config = studies / "one" / "trials" / "0" / "pipeline.config"
    configs = config_util.get_configs_from_pipeline_file(str(config))
    model = model_builder.build(configs["model"], is_training=True)
    assert model.num_classes == 3
    batches = inputs.train_input(
        train_config=configs["train_config"], train_input_config=configs["train_input_config"],
        model_config=configs["model"], model=model,
    )  # fmt: skip
    features, labels = next(iter(batches))
    assert features["image"].shape == (2, 160, 160, 3)
    assert labels["groundtruth_classes"].shape[-1] == 3


def test_the_champion_is_what_was_trained_wherever_it_is_loaded(studies, capsys):
    assert promote(["one", "--studies-dir", str(studies)]) == 0
    said = capsys.readouterr().out
    assert "on 5 validation images its mAP is" in said
    assert "models:/one@champion: version none -> 1" in said

    export = exports.read(located("models:/one@champion", None, studies))
    assert export.manifest["trial"] == 0
    shown = samples.load(export.directory / exports.SAMPLES)

    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{studies / 'mlflow.db'}")
    found = mlflow.pyfunc.load_model("models:/one@champion").predict({"images": shown.images})
    for i, expected in enumerate(shown.found):
        count = int(found["num_detections"][i])
        np.testing.assert_allclose(found["detection_scores"][i][:count], expected.scores, atol=1e-3)
