"""A real detector, trained for a moment: exported, proven, and run on real video by every backend."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from serve import backends
from serve.backends import choosing
from serve.locating import located
from trainers import export as exports
from trainers import samples

pytestmark = pytest.mark.slow

CARS = Path(__file__).parents[3] / "shared" / "data" / "video" / "car-detection.mp4"
CITY = "toy-city:train_images=24,validation_images=10"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """What a search leaves behind: a summary, and the best trial's recipe and checkpoint."""
    from trainers import recipe as recipes
    from trainers.datasets.opening import open_dataset
    from trainers.object_detection_api.trainer import DetectorTrainer

    studies = tmp_path_factory.mktemp("studies")
    city = open_dataset(CITY, studies / "data")
    recipe = recipes.build({
        "detector": "mobilenet", "image_size": 160, "batch_size": 4, "steps": 40,
        "optimizer": {"kind": "adam"}, "schedule": {"kind": "constant", "base": 0.002},
        "augmentations": [{"name": "random_horizontal_flip"}], "batch_norm_decay": 0.9, "averaging": 0.5, "seed": 7,
    })  # fmt: skip
    trainer = DetectorTrainer(city)
    trainer.start(recipe)
    trainer.train(40)
    trial = studies / "night" / "trials" / "3"
    trial.mkdir(parents=True)
    trainer.save(trial / "checkpoint-40")
    (trial / "recipe.yaml").write_text(recipe.to_yaml())
    (trial / "mlflow.json").write_text(json.dumps({"uri": "sqlite:///m.db", "run": "abc"}))
    summary = {
        "study": "night",
        "data": {"name": city.name, "source": city.source, "given": CITY, "fingerprint": city.fingerprint},
        "best": {"trial": 3, "mAP": 0.1, "recipe_id": recipe.recipe_id},
    }
    (studies / "night" / "summary.json").write_text(json.dumps(summary))
    return studies / "night"


@pytest.fixture(scope="module")
def folder(study):
    return located(None, "night", study.parent)


def test_the_winner_of_a_study_is_exported_once_and_says_where_it_is_from(folder, study):
    export = exports.read(folder)
    made = (folder / "manifest.json").stat().st_mtime_ns
    assert located(None, "night", study.parent) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == made
    assert export.manifest["study"] == "night"
    assert export.manifest["trial"] == 3
    assert export.manifest["mlflow"]["run"] == "abc"


def test_the_export_finds_what_the_trained_model_finds(folder):
    export = exports.read(folder)
    proof = export.manifest["proof"]
    assert proof["images"] == 10
    assert proof["mAP"]["exported"] == pytest.approx(proof["mAP"]["trained"], abs=0.001)
    assert proof["exported"]["score"] < 1e-3
    assert proof["exported"]["unmatched"] == 0
    assert proof["one_by_one"]["score"] < 1e-3
    assert proof["as_served"]["score"] < 0.1
    assert export.classes == ("vehicle", "pedestrian", "cyclist")
    assert export.framing.resize == "stretch"
    assert (folder / "label_map.pbtxt").read_text().count("item") == 3


@pytest.mark.parametrize("name", list(backends.REGISTERED))
def test_every_backend_passes_the_gate(name, folder):
    export = exports.read(folder)
    backend = backends.load(name, export, 2)
    shown = samples.load(folder / exports.SAMPLES)
    _, apart, problem = choosing.parity(backend, export, shown)
    assert problem is None, apart
    one = backend.detect(shown.images[:1])[0]
    many = backend.detect(np.repeat(shown.images[:1], 5, axis=0))
    for each in many:
        np.testing.assert_allclose(each.scores, one.scores, atol=1e-3)


@pytest.mark.skipif(not CARS.exists(), reason=f"the real video is not at {CARS}")
def test_the_real_video_comes_out_whole_with_its_sound(folder, tmp_path):
    import clips

    from serve.detect import main

    out, lines = tmp_path / "cars.webm", tmp_path / "cars.jsonl"
    words = [str(CARS), "--local", "--model", str(folder), "--backend", "openvino", "--threshold", "0.2"]
    assert main([*words, "--out", str(out), "--detections", str(lines)]) == 0
    facts = clips.facts_of(out)
    assert len(facts["times"]) == 377
    assert facts["size"] == (432, 768)
    np.testing.assert_allclose(facts["times"], [i / 12.5 for i in range(377)], atol=0.0011)
    assert facts["sound"] == pytest.approx(30.16, abs=0.2)
    assert [json.loads(line)["frame"] for line in lines.read_text().splitlines()] == list(range(377))
