"""`python -m tuning.train`: one recipe, from wherever it comes, trained to its last step as a study of one trial."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import signal
from pathlib import Path

import pytest
import yaml
from coco_folders import box, coco
from curve_trainer import DATASET, CurveTrainer
from searches import CONDITIONS, SPACE, search_of
from test_tracking import told

from tuning.api import training
from tuning.execution.worker import Worker
from tuning.study import curves
from tuning.study.step_result import StepResult
from tuning.train import main

slow = pytest.mark.slow
CITY = "toy-city:train_images=6,validation_images=3"
RECIPE = SPACE.replay(SPACE.seeds(CONDITIONS)[0].params, CONDITIONS).recipe


@pytest.fixture
def studies(uri, tmp_path) -> Path:
    """A folder for studies, with a recipe and MLflow's database in it."""
    (tmp_path / "recipe.yaml").write_text(RECIPE.to_yaml())
    return tmp_path


def train(studies: Path, *words: str, data: str | None = CITY) -> int:
    given = ["--data", data] if data else []
    trainer = ["--trainer", "curve_trainer:CurveTrainer"]
    return main([*words, *given, "--studies-dir", str(studies), "--threads", "1", "--gpus", "0", *trainer])


def summary_of(studies: Path, study: str) -> dict:
    return json.loads((studies / study / "summary.json").read_text())


@slow
def test_a_recipe_is_trained_to_its_last_step_and_measured_on_the_way(studies, capsys):
    assert train(studies, str(studies / "recipe.yaml"), "--study", "one") == 0
    trial = summary_of(studies, "one")["trials"][0]
    assert trial["state"] == "completed"
    assert [rung["step"] for rung in trial["rungs"]] == [9, 18, 27, 36, 45, 54, 63, 72, 81, 90]
    folder = studies / "one" / "trials" / "0"
    assert (folder / "checkpoint-90").is_dir()
    assert [line["step"] for _, line in curves.read(folder / "metrics.jsonl")] == list(range(1, 91))
    assert "mAP" in capsys.readouterr().out
    runs = told(f"sqlite:///{studies / 'mlflow.db'}", "one")
    assert runs["0"]["run"].data.tags["verdict"] == "completed"

    before = (studies / "one" / "summary.json").read_text()
    assert train(studies, str(studies / "recipe.yaml"), "--study", "one") == 0
    assert json.loads(before)["trials"] == summary_of(studies, "one")["trials"]


@slow
def test_a_trial_of_a_study_and_a_run_of_mlflow_are_the_same_recipe_on_the_same_data(studies, capsys):
    frames = coco(
        studies / "frames", [{"id": i, "file_name": f"{i % 3} {i}.png"} for i in range(9)], [box(0)]
    )
    words = ("--study", "one", "--format", "coco", "--group-by", "^[0-9]")
    assert train(studies, str(studies / "recipe.yaml"), *words, data=str(frames)) == 0
    run = told(f"sqlite:///{studies / 'mlflow.db'}", "one")["0"]["id"]
    first = summary_of(studies, "one")
    assert (first["data"]["format"], first["data"]["group_by"]) == ("coco", "^[0-9]")
    assert first["data"]["images"] == {"train": 6, "validation": 3}
    assert train(studies, "--trial", "one/0", "--study", "two", data=None) == 0
    assert train(studies, "--run", run, "--study", "three", data=None) == 0
    for name in ("two", "three"):
        again = summary_of(studies, name)
        assert again["data"]["fingerprint"] == first["data"]["fingerprint"]
        assert again["best"] == first["best"]
    capsys.readouterr()
    other = "toy-city:train_images=6,validation_images=4"
    assert train(studies, "--trial", "one/0", "--study", "four", data=other) == 0
    assert f"--data {other} is not the data that trial 0 of one was trained on" in capsys.readouterr().out


@slow
def test_more_steps_are_another_recipe_and_a_study_of_its_own(studies):
    assert train(studies, str(studies / "recipe.yaml")) == 0
    assert train(studies, str(studies / "recipe.yaml"), "--max-steps", "30") == 0
    found = {path.parent.name: json.loads(path.read_text()) for path in studies.glob("*/summary.json")}
    assert sorted(summary["trials"][0]["recipe"]["steps"] for summary in found.values()) == [30, 90]
    assert all(name.startswith("recipe-") for name in found)


@slow
def test_a_training_that_is_stopped_goes_on_from_where_it_stopped(studies, monkeypatch, capsys):
    stops = []

    class Stopping(CurveTrainer):
        def train(self, until_step):
            curve = super().train(until_step)
            if self.step > 40 and not stops:
                stops.append(self.step)
                os.kill(os.getpid(), signal.SIGINT)
            return curve

    monkeypatch.setattr("curve_trainer.CurveTrainer", Stopping)
    words = (str(studies / "recipe.yaml"), "--study", "one")
    assert train(studies, *words) == 130
    trial = summary_of(studies, "one")["trials"][0]
    assert trial["state"] == "interrupted"
    assert (studies / "one" / "trials" / "0" / f"checkpoint-{stops[0]}").is_dir()
    assert train(studies, *words) == 0
    lines = [line["step"] for _, line in curves.read(studies / "one" / "trials" / "0" / "metrics.jsonl")]
    assert lines == list(range(1, 91))
    assert len(summary_of(studies, "one")["trials"]) == 1


@slow
def test_a_training_that_fails_says_why_and_ends_with_1(studies, monkeypatch, capsys):
    monkeypatch.setenv("CURVE_TROUBLE", '{"diverge": 1e-9}')
    assert train(studies, str(studies / "recipe.yaml"), "--study", "one") == 1
    assert "total loss is nan at step 1" in capsys.readouterr().out


def test_all_the_data_are_the_training_and_the_validation_images():
    dataset, note = training.with_all_images(DATASET)
    assert dataset.train.images == 120
    assert dataset.train.files == (*DATASET.train.files, *DATASET.validation.files)
    assert "evaluated on images that it trains on" in note
    held_out = dataclasses.replace(DATASET, test=DATASET.validation)
    dataset, note = training.with_all_images(held_out)
    assert dataset.validation == held_out.test
    assert dataset.test is None
    assert "evaluated on the test images" in note


@pytest.mark.parametrize("steps", [1, 3, 10, 25, 20000])
def test_evaluations_are_spread_evenly_and_the_last_is_at_the_end(steps):
    found = training.evaluations(steps)
    assert found[-1] == steps
    assert len(found) == min(steps, 10)
    assert found == tuple(sorted(set(found)))


def test_a_checkpoint_is_kept_between_evaluations_of_a_long_training(open_study):
    study, seen = open_study(), []

    class Watched(Worker):
        def step(self) -> StepResult:
            folder = study.trial_folder(0)
            seen.append(sorted(path.name for path in folder.glob("checkpoint-*")))
            return super().step()

    trainer = CurveTrainer(DATASET)
    training.train_here(
        search_of(study, 1), Watched(lambda model, fold: trainer, "detection", save_seconds=0.0)
    )
    assert study.record(0).state == "completed"
    assert ["checkpoint-1"] in seen


REFUSED = [
    (["no.yaml"], "no.yaml: cannot be read: No such file"),
    (["{here}/list.yaml"], "list.yaml: not a recipe"),
    (["{here}/wrong.yaml"], "wrong.yaml: steps: must be greater than 0"),
    (["--trial", "one"], "--trial one: is not STUDY/NUMBER; give a study's name or folder"),
    (["--trial", "one/best"], "--trial one/best: is not STUDY/NUMBER"),
    (["--trial", "street/0"], "street: no such study in"),
    (["--run", "abc"], "there is no MLflow database"),
    (["{here}/recipe.yaml", "--max-steps", "0"], "--max-steps must be at least 1"),
    (["{here}/recipe.yaml", "--threads", "0"], "--threads must be at least 1"),
    (["{here}/recipe.yaml", "--gpus", "-1"], "--gpus must be at least 0"),
    (["{here}/recipe.yaml", "--study", "../x"], "--study '../x' is not a valid name"),
    (["{here}/recipe.yaml", "--data", "no/photos"], "no/photos"),
    (["{here}/recipe.yaml", "--data", CITY, "--group-by", "a"], "leave out --format and --group-by"),
    ([], "one of the arguments recipe --trial --run is required"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_what_is_wrong_is_one_line_and_no_study_is_made(words, message, tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text(RECIPE.to_yaml())
    (tmp_path / "list.yaml").write_text("[1, 2]")
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(RECIPE.to_dict() | {"steps": 0}))
    said = refused([word.replace("{here}", str(tmp_path)) for word in words], tmp_path / "studies", capsys)
    assert message in said
    assert not list(tmp_path.glob("studies/*/study.json"))


def test_a_study_that_is_something_else_is_not_trained_into(open_study, tmp_path, capsys):
    open_study("search").close()
    (tmp_path / "recipe.yaml").write_text(RECIPE.to_yaml())
    words = [str(tmp_path / "recipe.yaml"), "--study", "search", "--data", CITY]
    assert "is a search, not a training of recipe" in refused(words, tmp_path, capsys)
    assert "has no trial 4 (there is none yet)" in refused(["--trial", "search/4"], tmp_path, capsys)


@slow
def test_a_run_that_is_not_there_or_is_a_studys_is_refused(studies, capsys):
    assert "not found" in refused(["--run", "abc"], studies, capsys)
    assert train(studies, str(studies / "recipe.yaml"), "--study", "one") == 0
    parent = told(f"sqlite:///{studies / 'mlflow.db'}", "one")[""]["id"]
    capsys.readouterr()
    assert "give the run of a trial, not of its study" in refused(["--run", parent], studies, capsys)


def refused(words: list[str], studies: Path, capsys: pytest.CaptureFixture[str]) -> str:
    try:
        code = main([*words, "--studies-dir", str(studies), "--trainer", "curve_trainer:CurveTrainer"])
    except SystemExit as exit_:
        code = exit_.code  # type: ignore[assignment]
    said = capsys.readouterr()
    assert code == 2, shlex.join(words)
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return said.err
