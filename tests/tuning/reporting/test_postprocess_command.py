"""`python -m tuning.postprocess`: what could be gained after the network, from detections that a study has kept."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import made_study
import numpy as np
import pytest

from trainers import export as exports
from tuning.api.deployment import export_results
from tuning.postprocess import main
from tuning.study import reading
from tuning.study import trial_record as records


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    made_study.make(folder / "street", trials=3, images=30)
    return folder


def test_it_says_the_settings_of_the_best_trial_and_the_gain_with_its_interval(studies, capsys):
    assert main(["street", "--studies-dir", str(studies)]) == 0
    said = capsys.readouterr().out
    best = records.best(reading.read("street", studies).records)
    assert said.startswith(f"street trial {best.number}, step 400\n")
    assert "score thresholds   vehicle " in said
    assert "30 images)" in said


def test_a_trial_without_kept_results_and_one_that_is_not_there_are_refused(studies, capsys):
    best = records.best(reading.read("street", studies).records)
    [kept] = (studies / "street" / "trials" / str(best.number)).glob("detections-400.npz")
    moved = kept.rename(kept.with_suffix(".moved"))
    assert main(["street", "--studies-dir", str(studies)]) == 2
    assert "no results of its validation images at step 400 are kept" in capsys.readouterr().err
    moved.rename(kept)
    assert main(["street", "--studies-dir", str(studies), "--trial", "99"]) == 2
    assert "has no trial 99" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "refused"),
    [
        (
            ["--average", "--flip"],
            "--flip and --average are tried one after the other; leave out one of them",
        ),
        (["--image-sizes", "big"], "'big' is not a list of sizes like 256,320"),
        (
            ["--image-sizes", "320,100"],
            "needs an image size of at least 160 px and a multiple of 32, not 100",
        ),
    ],
)
def test_what_cannot_be_tried_is_refused_in_one_line_before_anything_is(studies, capsys, flags, refused):
    best = records.best(reading.read("street", studies).records)
    assert best.model == "mobilenet"
    try:
        code = main(["street", "--studies-dir", str(studies), *flags])
    except SystemExit as ended:  # argparse's
        code = ended.code
    assert code == 2
    said = capsys.readouterr()
    assert refused in said.err
    assert "images in" not in said.out


def test_thresholds_are_those_of_the_network_that_is_exported(studies, capsys):
    """Of an average, or of another input size, not of the detections that the trial's own network had."""
    study = reading.read("street", studies)
    best = records.best(study.records)
    trial = studies / "street" / "trials" / str(best.number)
    (trial / "export").mkdir()
    exports.seal(trial / "export", {"step": 400, "average": {"trials": [0, 1]}})
    assert main(["street", "--studies-dir", str(studies)]) == 2
    assert "has another network than the trial" in capsys.readouterr().err
    own = study.task.read_results(trial, 400)
    moved = [replace(each, scores=each.scores * np.float32(0.5)) for each in own]
    export_results.keep(study.task, trial, moved)
    assert main(["street", "--studies-dir", str(studies)]) == 0
    halved = capsys.readouterr().out
    shutil.rmtree(trial / "export")
    assert main(["street", "--studies-dir", str(studies)]) == 0
    assert capsys.readouterr().out != halved
