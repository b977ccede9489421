"""The main road as its user walks it, on TensorFlow, the Object Detection API, Ray, Optuna and MLflow.

A search, its best trial again, its export, the champion of the registry, and real video through every backend.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from serve import backends
from serve.backends import measuring
from serve.detect import main as detect
from serve.exports.locating import located
from trainers import recipe as recipes
from trainers.detection import export as exports
from trainers.detection import samples
from trainers.detection.task import DETECTION
from tuning.promote import main as promote
from tuning.study import curves

pytestmark = [pytest.mark.slow(200), pytest.mark.timeout(1800)]  # of a busy machine
HERE = Path(__file__).parent
ROOT = HERE.parent
CARS = ROOT.parent / "shared" / "data" / "video" / "car-detection.mp4"
STEPS = 20
# on one thread, so that its losses can be had again
SEARCH = [
    *("--space", "mobilenet", "--study", "street", "--data", "toy-city:train_images=24,validation_images=10"),
    *("--trials", "2", "--max-steps", str(STEPS), "--batch-size", "4", "--seed", "3"),
    *("--workers", "1", "--cpus-per-trial", "1"),
]


def run(*words: str, cwd: Path) -> str:
    """What the command, in a process of its own, printed."""
    paths = os.pathsep.join(map(str, (ROOT, HERE)))
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def search(tmp_path_factory) -> tuple[str, Path]:
    """Two short trials of the cheapest detector; what was said, and the study's folder."""
    folder = tmp_path_factory.mktemp("road")
    said = run("-m", "tuning.run", *SEARCH, cwd=folder)
    return said, folder / "studies" / "street"


@pytest.fixture(scope="module")
def again(search) -> Path:
    """The study in which the best trial was trained again; the best trial has its export now."""
    _, study = search
    run(str(HERE / "train_again.py"), str(study), cwd=study.parent)
    return study.parent / "again"


@pytest.fixture(scope="module")
def best(search) -> Path:
    """The folder of the best trial."""
    _, study = search
    return study / "trials" / str(json.loads((study / "summary.json").read_text())["best"]["trial"])


@pytest.fixture(scope="module")
def export(again, best) -> Path:
    """The folder that `serve.run --study street` would serve."""
    return located(None, "street", best.parents[2])


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


def test_the_winner_is_the_best_and_its_checkpoint_is_there(search, best):
    said, study = search
    summary = json.loads((study / "summary.json").read_text(encoding="utf-8"))
    highest = max(trial["rungs"][-1]["mAP"] for trial in summary["trials"])
    rank = DETECTION.objective(None, ()).criteria[0].rank  # mAPs below chance level are equal
    assert rank(summary["best"]["mAP"]) == rank(highest)
    assert (best / f"checkpoint-{STEPS}" / "ckpt.index").is_file()
    assert summary["best"]["recipe_id"] in said


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


def test_what_was_found_is_kept_and_drawn(search, best):
    _, study = search
    assert len(DETECTION.read_results(best, STEPS)) == 10
    assert {path.name for path in (best / "pictures").iterdir()} >= {
        "validation.jpg",
        "confusion.png",
        "loss.png",
    }
    assert (study / "split.csv").is_file()


def test_the_apis_own_tools_build_the_model_and_the_batches_of_the_stored_config(best):
    from trainers.object_detection_api import compat

    compat.install()
    from object_detection import inputs
    from object_detection.builders import model_builder
    from object_detection.utils import config_util

    configs = config_util.get_configs_from_pipeline_file(str(best / "pipeline.config"))
    model = model_builder.build(configs["model"], is_training=True)
    assert model.num_classes == 3
    assert Path(configs["train_input_config"].label_map_path).is_file()
    batches = inputs.train_input(
        train_config=configs["train_config"], train_input_config=configs["train_input_config"],
        model_config=configs["model"], model=model,
    )  # fmt: skip
    features, labels = next(iter(batches))
    assert features["image"].shape == (4, 160, 160, 3)
    assert labels["groundtruth_classes"].shape[-1] == 3


def lines_of(trial: Path) -> list[dict[str, float]]:
    return [
        {"step": line["step"], **{k: v for k, v in line["metrics"].items() if k != "images_per_second"}}
        for _, line in curves.read(trial / "metrics.jsonl")
    ]


def test_the_command_that_mlflow_holds_gives_the_same_losses_and_the_same_map(again, best):
    second = again / "trials" / "0"
    assert [line["step"] for line in lines_of(best)] == list(range(1, STEPS + 1))
    assert lines_of(best) == lines_of(second)
    [first, repeated] = (
        json.loads((study / "summary.json").read_text())["best"]["mAP"] for study in (best.parents[1], again)
    )
    assert first == repeated


def test_the_export_finds_what_the_trained_model_finds(export, best):
    assert export == best / "export"
    found = exports.read(export)
    assert found.manifest["study"] == "street"
    proof = found.manifest["proof"]
    assert proof["images"] == 10
    assert proof["mAP"]["exported"] == pytest.approx(proof["mAP"]["trained"], abs=0.001)
    assert proof["exported"]["score"] < 1e-3
    assert proof["exported"]["unmatched"] == 0
    assert proof["one_by_one"]["score"] < 1e-3
    assert proof["as_served"]["score"] < 0.1
    assert found.classes == ("vehicle", "pedestrian", "cyclist")
    assert found.framing.resize == "stretch"
    assert (export / "label_map.pbtxt").read_text().count("item") == 3


def test_the_champion_is_what_was_trained_wherever_it_is_loaded(export, capsys):
    studies = export.parents[3]
    assert promote(["street", "--studies-dir", str(studies)]) == 0
    said = capsys.readouterr().out
    assert "on 10 validation images, trained model" in said
    assert "models:/street@champion: version none -> 1" in said

    champion = exports.read(located("models:/street@champion", None, studies))
    assert champion.export_id == exports.read(export).export_id
    shown = samples.load(champion.directory / exports.SAMPLES)

    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{studies / 'mlflow.db'}")
    found = mlflow.pyfunc.load_model("models:/street@champion").predict({"images": shown.images})
    for i, expected in enumerate(shown.found):
        count = int(found["num_detections"][i])
        np.testing.assert_allclose(found["detection_scores"][i][:count], expected.scores, atol=1e-3)


@pytest.mark.parametrize("name", list(backends.REGISTERED))
def test_every_backend_passes_the_gate(name, export):
    found = exports.read(export)
    backend = backends.load(name, found, 2)
    shown = samples.load(export / exports.SAMPLES)
    _, apart, problem = measuring.parity(backend, found, shown)
    assert problem is None, apart
    one = backend.detect(shown.images[:1])[0]
    many = backend.detect(np.repeat(shown.images[:1], 5, axis=0))
    for each in many:
        np.testing.assert_allclose(each.scores, one.scores, atol=1e-3)


@pytest.mark.skipif(not CARS.exists(), reason=f"the real video is not at {CARS}")
def test_the_real_video_comes_out_whole_with_its_sound(export, tmp_path):
    sys.path.insert(0, str(HERE / "serve"))
    import clips

    out, lines = tmp_path / "cars.webm", tmp_path / "cars.jsonl"
    words = [str(CARS), "--local", "--model", str(export), "--backend", "openvino", "--threshold", "0.2"]
    assert detect([*words, "--out", str(out), "--detections", str(lines)]) == 0
    facts = clips.facts_of(out)
    assert len(facts["times"]) == 377
    assert facts["size"] == (432, 768)
    np.testing.assert_allclose(facts["times"], [i / 12.5 for i in range(377)], atol=0.0011)
    assert facts["sound"] == pytest.approx(30.16, abs=0.2)
    assert [json.loads(line)["frame"] for line in lines.read_text().splitlines()] == list(range(377))
