"""`python -m tuning.promote`: a trial becomes the registry's champion with its evidence, or nothing is registered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from searches import run_here, search_of

from serve.exports.locating import located
from trainers.detection import export as exports
from trainers.detection.export import Framing, Proof
from trainers.detection.samples import DetectionArrays, Samples
from trainers.errors import UserError
from tuning.api import promotion
from tuning.promote import main
from tuning.study.step_result import StepResult
from tuning.tracking.callback import Tracking
from tuning.tracking.mlflow_writer import MLflowWriter

slow = pytest.mark.slow
PROOF = {"images": 20, "mAP": {"trained": 0.4, "exported": 0.4}, "score": 0.0, "iou": 1.0, "unmatched": 0.0}


def seal(trial: Path, proof: dict | None) -> Path:
    """An export's folder with everything but a network in it."""
    folder = trial / "export"
    (folder / "saved_model").mkdir(parents=True)
    (folder / "saved_model" / "saved_model.pb").write_text(f"network of {trial}")
    (folder / "recipe.yaml").write_text("detector: mobilenet\n")
    nothing = DetectionArrays(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int))
    image = np.full((1, 96, 96, 3), 127, np.uint8)
    Samples(image, [np.zeros((0, 4))], [np.zeros(0, int)], [nothing]).save(folder / "samples.npz")
    about = {"step": 90} | ({"proof": {"saved": proof}} if proof else {})
    exports.seal(folder, ("vehicle", "pedestrian"), Framing(96, "stretch"), 0.5, about)
    return folder


@pytest.fixture
def made(monkeypatch) -> list[Path]:
    """Exports as they were asked for; each is sealed with PROOF unless it is there."""
    asked: list[Path] = []

    def export_trial(trial: Path, *_: object) -> Path:
        asked.append(trial)
        return trial / "export" if (trial / "export").is_dir() else seal(trial, PROOF)

    monkeypatch.setattr(promotion, "export_trial", export_trial)
    return asked


@pytest.fixture
def street(open_study, uri, tmp_path):
    """A study of six trials that MLflow was told of, closed."""
    study = open_study()
    tracking = Tracking(study, uri, tmp_path / "mlruns" / "street", 90, writer=MLflowWriter)
    search = search_of(study, 6, (tracking,))
    tracking.start()
    run_here(search)
    assert tracking.close() is None
    records = study.records()
    study.close()
    return records


@slow
def test_a_study_of_a_weighted_sum_is_promoted(open_study, uri, tmp_path, made):
    study = open_study(objective="0.7*mAP+0.3*mAP50")
    tracking = Tracking(study, uri, tmp_path / "mlruns" / "street", 90, writer=MLflowWriter)
    tracking.start()
    run_here(search_of(study, 3, (tracking,)))
    assert tracking.close() is None
    study.close()
    assert promote(tmp_path) == 0
    version = MlflowClient(uri).get_model_version_by_alias("street", "champion")
    assert float(version.tags["0.7_mAP_0.3_mAP50"]) > 0


def promote(tmp_path: Path, *words: str) -> int:
    return main(["street", "--studies-dir", str(tmp_path), *words])


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, *words: str) -> str:
    code = promote(tmp_path, *words)
    said = capsys.readouterr()
    assert code == 2
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return said.err


@slow
def test_the_best_trial_becomes_champion_with_its_evidence_and_serving_finds_it(
    street, uri, tmp_path, made, capsys
):
    assert promote(tmp_path) == 0
    best = max((r for r in street if r.state == "completed"), key=lambda r: r.value)
    assert made == [tmp_path / "street" / "trials" / str(best.number)]
    said = capsys.readouterr().out
    assert "mAP 0.4000 on 20 validation images, trained model 0.4000 (tolerance 0.001)" in said
    assert "models:/street@champion: version none -> 1" in said

    client = MlflowClient(uri)
    version = client.get_model_version_by_alias("street", "champion")
    export = exports.read(made[0] / "export")
    assert version.tags["export_id"] == export.export_id
    assert version.tags["trial"] == str(best.number)
    assert version.tags["data_fingerprint"] == "0123456789ab"
    assert "| AP vehicle |" in version.description
    note = json.loads((made[0] / "mlflow.json").read_text())
    assert version.run_id == note["run"]
    assert client.get_run(note["run"]).info.status == "FINISHED"

    found = located("models:/street@champion", None, tmp_path)
    assert exports.read(found).export_id == export.export_id
    model = next(found.parents[i] for i in range(3) if (found.parents[i] / "MLmodel").exists())
    from mlflow.models import Model

    known = Model.load(str(model))
    assert [each.name for each in known.signature.inputs.inputs] == ["images"]
    assert {each.name for each in known.signature.outputs.inputs} >= {"detection_boxes", "detection_scores"}
    assert known.load_input_example(str(model))["images"].shape == (1, 64, 64, 3)


@slow
def test_the_alias_moves_on_and_back_and_a_version_is_not_made_twice(street, uri, tmp_path, made, capsys):
    client = MlflowClient(uri)

    def champion() -> str:
        return str(client.get_model_version_by_alias("street", "champion").version)

    first, second = [record.number for record in street if record.rungs][:2]
    for trial, version in ((first, "1"), (second, "2"), (second, "2"), (first, "1")):
        assert promote(tmp_path, "--trial", str(trial)) == 0
        assert champion() == version
    capsys.readouterr()
    assert len(client.search_model_versions("name='street'")) == 2
    for version in ("2", "1"):
        assert promote(tmp_path, "--rollback") == 0
        assert champion() == version
    assert "models:/street@champion: version 2 -> 1" in capsys.readouterr().out
    assert "version 1 is the first 'champion'" in refused(capsys, tmp_path, "--rollback")

    client.set_registered_model_alias("street", "champion", "2")  # by a person
    assert promote(tmp_path, "--rollback") == 0
    assert champion() == "1"


@slow
def test_a_rollback_or_a_promotion_that_was_killed_midway_is_done_right_the_next_time(
    street, uri, tmp_path, made
):
    client = MlflowClient(uri)
    first, second = [record.number for record in street if record.rungs][:2]
    assert promote(tmp_path, "--trial", str(first)) == 0
    client.set_registered_model_tag("street", "champion.history", '["1", "2"]')  # and killed before the alias
    assert promote(tmp_path, "--trial", str(second)) == 0
    assert client.get_registered_model("street").tags["champion.history"] == '["1", "2"]'
    client.set_registered_model_alias("street", "champion", "1")  # rolled back, and killed before the history
    assert promote(tmp_path, "--trial", str(second)) == 0
    assert promote(tmp_path, "--rollback") == 0
    assert str(client.get_model_version_by_alias("street", "champion").version) == "1"


@slow
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            {"mAP": {"trained": 0.4, "exported": 0.38}},
            "mAP differs by 0.0200 on 20 images (tolerance 0.0010)",
        ),
        ({"score": 0.01}, "scores differ by 0.0100"),
        ({"iou": 0.9}, "IoU of boxes is below 1 by 0.1000"),
        ({"unmatched": 0.1}, "the share of unmatched boxes is 0.1000"),
        (None, "was never compared with the trained model"),
        ("damaged", "saved_model.pb: was added or changed after the export"),
    ],
)
def test_an_export_that_is_not_what_was_trained_is_refused_and_nothing_registered(
    street, uri, tmp_path, made, capsys, wrong, says
):
    number = next(record.number for record in street if record.state == "completed")
    proof = PROOF | wrong if isinstance(wrong, dict) else PROOF if wrong else None
    folder = seal(tmp_path / "street" / "trials" / str(number), proof)
    if wrong == "damaged":
        (folder / "saved_model" / "saved_model.pb").write_text("something else")
    assert says in refused(capsys, tmp_path, "--trial", str(number))
    assert MlflowClient(uri).search_registered_models() == []


@slow
def test_what_cannot_be_promoted_is_one_line(street, uri, tmp_path, made, capsys):
    assert "no such study in" in refused_of("elsewhere", capsys, tmp_path)
    assert "has no trial 9 (there are 0 to 5)" in refused(capsys, tmp_path, "--trial", "9")
    assert "--rollback takes the previous champion" in refused(capsys, tmp_path, "--rollback", "--trial", "1")
    assert "has no model 'street'" in refused(capsys, tmp_path, "--rollback")
    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert f"is not in MLflow at {other}" in refused(capsys, tmp_path, "--tracking-uri", other)
    assert "there is no MLflow database" in refused(capsys, tmp_path, "--rollback", "--tracking-uri", other)
    with pytest.raises(UserError, match=r"models:/street@champion: cannot be fetched from"):
        located("models:/street@champion", None, tmp_path)
    assert not made


def refused_of(study: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> str:
    assert main([study, "--studies-dir", str(tmp_path)]) == 2
    return capsys.readouterr().err


def test_a_study_without_a_completed_trial_says_what_there_is(open_study, tmp_path, capsys):
    study = open_study()
    assert "no trial is completed yet (there are none)" in refused(capsys, tmp_path)
    search = search_of(study, 4)
    failed, running = search.propose().number, search.propose().number
    search.report(StepResult(failed, 5, "failed", reason="total loss is nan at step 5"))
    said = refused(capsys, tmp_path)
    assert "(there are 1 failed, 1 running)" in said
    said = refused(capsys, tmp_path, "--trial", str(failed))
    assert "trial 0 is failed and cannot be promoted: total loss is nan at step 5" in said
    assert "trial 1 is running" in refused(capsys, tmp_path, "--trial", str(running))


def test_a_trial_whose_checkpoint_is_gone_says_how_to_train_it_again(tmp_path):
    from tuning.api.exporting import export_trial

    with pytest.raises(
        UserError, match=r"its checkpoint is gone; train it again: python -m tuning\.train --trial"
    ):
        export_trial(tmp_path / "street" / "trials" / "3", {}, {})


def stopped_short(trial: Path, step: int) -> Path:
    """Leave the trial with a checkpoint of this step only."""
    (trial / f"checkpoint-{step}").mkdir(parents=True)
    return trial


@slow
def test_a_trial_whose_newest_checkpoint_is_older_than_its_value_is_not_promoted(
    street, uri, tmp_path, made, capsys
):
    best = max((r for r in street if r.state == "completed"), key=lambda r: r.value)
    stopped_short(tmp_path / "street" / "trials" / str(best.number), 30)
    said = refused(capsys, tmp_path)
    assert (
        f"the newest checkpoint of trial {best.number} is of step 30, and its value was measured at" in said
    )
    assert "at step 90; train it again: python -m tuning.train --trial" in said
    assert not made


def test_the_checkpoint_of_the_store_is_compared_with_the_record_on_a_machine_that_has_none(
    on_machine, s3_store, tmp_path
):
    from tuning.api.exporting import check_reached
    from tuning.stores import folders

    folders.upload(s3_store, "street/trials/3/checkpoint-30", stopped_short(tmp_path / "made", 30), {})
    trial = on_machine("machine-2") / "street" / "trials" / "3"
    check_reached(trial, 30)
    with pytest.raises(UserError, match="the newest checkpoint of trial 3 is of step 30"):
        check_reached(trial, 90)


def test_an_export_older_than_the_trials_value_is_refused_when_its_checkpoint_is_gone(tmp_path):
    from tuning.api.exporting import check_reached

    seal(tmp_path / "3", PROOF)
    check_reached(tmp_path / "3", 90)
    with pytest.raises(UserError, match="whose checkpoint is gone, is of step 90"):
        check_reached(tmp_path / "3", 270)


def test_serving_refuses_a_winner_whose_newest_checkpoint_is_older_than_its_value(tmp_path):
    from serve.exports.winner import export_winner

    trial = stopped_short(tmp_path / "street" / "trials" / "3", 30)
    best = {"trial": 3, "value": 0.5, "mAP": 0.5}
    trials = [{"trial": 3, "rungs": [{"step": 30}, {"step": 90}]}]
    summary = {"study": "street", "data": {}, "best": best, "trials": trials}
    (tmp_path / "street" / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(UserError, match=f"{trial}: the newest checkpoint of trial 3 is of step 30"):
        export_winner(tmp_path / "street")


def test_a_proof_within_its_tolerances_has_no_problem():
    assert Proof(**PROOF).problem() is None
    assert Proof(**PROOF | {"score": float("nan")}).problem() is not None
