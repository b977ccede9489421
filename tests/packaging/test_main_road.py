"""The main road as its user walks it, with the wheel: labelled images, a search, a promoted winner, video.

The notebook on one's own images is run away from the checkout; what it left is looked at: its study on Ray, Optuna and
MLflow, its best trial trained again, the export, the champion of the registry, and real video through every backend.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from serve import backends
from serve.backends import measuring
from serve.detect import main as detect
from serve.exports.locating import located
from serve.tasks import detection as served_detection
from trainers import recipe as recipes
from trainers.datasets.toy_city import scenes
from trainers.datasets.toy_city.video import write_video
from trainers.detection import export as exports
from trainers.detection import samples
from trainers.detection.task import DETECTION
from tuning.study import curves

pytestmark = [pytest.mark.slow(200), pytest.mark.timeout(800)]
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CARS = ROOT.parent / "shared" / "data" / "video" / "car-detection.mp4"
STEPS, IMAGES = 20, 20


@pytest.fixture(scope="module")
def road(run_notebook, tmp_path_factory) -> tuple[Path, list[Any]]:
    """The notebook that converts, checks, searches, promotes and detects: its studies' folder, and its cells.

    It trains on one thread, so that its losses can be had again.
    """
    folder = tmp_path_factory.mktemp("road")
    once_more = "1, cpus_per_trial=1, batch_size=4, seed=3"
    return folder, run_notebook("own_images", folder, max_steps=str(STEPS), workers=once_more)


@pytest.fixture(scope="module")
def study(road) -> Path:
    """The study's folder."""
    return road[0] / "own"


@pytest.fixture(scope="module")
def again(study) -> Path:
    """The study in which the best trial was trained again."""
    paths = os.pathsep.join(map(str, (ROOT, HERE)))
    done = subprocess.run(
        [sys.executable, str(HERE / "train_again.py"), str(study)],
        cwd=study.parent, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return study.parent / "again"


@pytest.fixture(scope="module")
def best(study) -> Path:
    """The folder of the best trial."""
    return study / "trials" / str(json.loads((study / "summary.json").read_text())["best"]["trial"])


@pytest.fixture(scope="module")
def export(best) -> Path:
    """The folder that `serve.run --study own` would serve."""
    return located(None, "own", best.parents[2])


def test_every_cell_has_an_output(road, has_outputs):
    assert has_outputs(road[1])


def test_every_trial_has_its_state_its_rungs_and_a_recipe_that_can_be_run_again(study):
    summary = json.loads((study / "summary.json").read_text(encoding="utf-8"))
    assert [trial["trial"] for trial in summary["trials"]] == [0, 1]
    for trial in summary["trials"]:
        assert trial["state"] in ("completed", "pruned"), trial["reason"]
        assert all(0 <= rung["0.7*mAP+0.3*mAP50"] <= 1 for rung in trial["rungs"])
        recipe = recipes.build(trial["recipe"])
        assert recipe.recipe_id == trial["recipe_id"]
        assert recipes.read(study / "trials" / str(trial["trial"]) / "recipe.yaml") == recipe
        assert trial["seconds_training"] > 0
        assert trial["seconds_overhead"] > 0
    total = sum(trial["seconds_training"] + trial["seconds_overhead"] for trial in summary["trials"])
    assert total < summary["wall_seconds"]


def test_the_winner_is_a_completed_trial_and_its_checkpoint_is_there(study, best):
    summary = json.loads((study / "summary.json").read_text(encoding="utf-8"))
    completed = [trial["recipe_id"] for trial in summary["trials"] if trial["state"] == "completed"]
    assert summary["best"]["recipe_id"] in completed
    assert (best / f"checkpoint-{STEPS}" / "ckpt.index").is_file()


def test_mlflow_has_the_study_and_each_trial_with_its_losses_by_step(study):
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


def test_what_was_found_is_kept_and_drawn(study, best):
    assert len(DETECTION.read_results(best, STEPS)) == IMAGES
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


def test_the_command_that_mlflow_holds_gives_the_same_losses_and_detections(again, best):
    second = again / "trials" / "0"
    assert [line["step"] for line in lines_of(best)] == list(range(1, STEPS + 1))
    assert lines_of(best) == lines_of(second)
    first, repeated = (DETECTION.read_results(trial, STEPS) for trial in (best, second))
    for ours, theirs in zip(first, repeated, strict=True):
        np.testing.assert_array_equal(ours.scores, theirs.scores)
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)


def test_the_export_finds_what_the_trained_model_finds(export, best):
    assert export == best / "export"
    found = exports.read(export)
    assert found.manifest["study"] == "own"
    proof = found.manifest["proof"]
    assert proof["images"] == 16
    assert proof["mAP"]["exported"] == pytest.approx(proof["mAP"]["trained"], abs=0.001)
    assert proof["exported"]["score"] < 1e-3
    assert proof["exported"]["unmatched"] == 0
    assert proof["one_by_one"]["score"] < 1e-3
    assert proof["as_served"]["score"] < 0.1
    assert found.classes == ("vehicle", "pedestrian", "cyclist")
    assert found.framing.resize == "stretch"
    assert (export / "label_map.pbtxt").read_text().count("item") == 3


def test_the_champion_is_what_was_trained_wherever_it_is_loaded(road, export):
    printed = "".join(
        output.get("text", "") for cell in road[1] for output in cell.get("outputs", []) if "text" in output
    )
    assert f"on {IMAGES} validation images, trained model" in printed

    studies = export.parents[3]
    champion = exports.read(located("models:/own@champion", None, studies))
    assert champion.export_id == exports.read(export).export_id
    shown = samples.load(champion.directory / exports.SAMPLES)

    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{studies / 'mlflow.db'}")
    found = mlflow.pyfunc.load_model("models:/own@champion").predict({"images": shown.images})
    for i, expected in enumerate(shown.found):
        count = int(found["num_detections"][i])
        np.testing.assert_allclose(found["detection_scores"][i][:count], expected.scores, atol=1e-3)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("openvino", "tensorflow") else pytest.mark.long)
        for name in served_detection.TASK.backends  # the others' contract is tested on a smaller export too
    ],
)
def test_every_backend_passes_the_gate(name, export):
    found = exports.read(export)
    backend = backends.load(name, found, 2)
    shown = samples.load(export / exports.SAMPLES)
    compared = measuring.parity(backend, found, shown.images)
    assert compared.problem is None, compared.figures
    one = backend.run(shown.images[:1])[0]
    many = backend.run(np.repeat(shown.images[:1], 5, axis=0))
    for each in many:
        np.testing.assert_allclose(each.scores, one.scores, atol=1e-3)


@pytest.mark.skipif(not CARS.exists(), reason=f"the real video is not at {CARS}")
def test_the_real_video_comes_out_whole_with_its_sound(export, tmp_path):
    sys.path.insert(0, str(HERE.parent / "serve"))
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


def test_the_installed_command_writes_the_report(study, command):
    done = command(study.parent, "report", "own", "--studies-dir", ".")
    assert done.returncode == 0, done.stderr[-2000:]
    page = (study / "report.html").read_text(encoding="utf-8")
    assert "<style>" in page
    assert "<script>" in page


def test_the_installed_command_detects_in_a_video(study, command):
    folder = study.parent
    write_video(folder / "drive.mp4", scenes.ToyCity(), 0, count=5)
    words = [
        "detect",
        "drive.mp4",
        "--local",
        "--study",
        "own",
        "--studies-dir",
        ".",
        "--backend",
        "tensorflow",
    ]
    done = command(folder, *words, "--out", "found.webm", "--detections", "found.jsonl")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (folder / "found.webm").stat().st_size > 0
    lines = (folder / "found.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(5))
