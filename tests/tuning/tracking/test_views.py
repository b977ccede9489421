"""The views and descriptions that MLflow's page has of a study."""

from __future__ import annotations

import base64
import json
import zlib
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from searches import OBJECTIVE, about, run_here, search_of

from trainers import task as tasks
from tuning.api.final_report import seen_in_mlflow
from tuning.study.study import Study
from tuning.tracking import descriptions, views
from tuning.tracking.callback import Tracking
from tuning.tracking.mlflow_writer import MLflowWriter
from tuning.tracking.notes import read_note, write_note

CLASSES = [f"class {n}" for n in range(200)]
VIEWS = views.views("0.7*mAP+0.3*mAP50", False, tasks.get("detection"), CLASSES)
OLD_LIMIT = 5000  # characters of an experiment's tag, in earlier versions of MLflow


class Tags:
    """An MLflow client that knows one experiment's tags."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}

    def get_experiment(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(tags=dict(self.tags))

    def set_experiment_tag(self, _: str, key: str, value: str) -> None:
        self.tags[key] = value


def state_of(tag: str) -> dict[str, object]:
    """The page's state in a tag."""
    packed = json.loads(tag)["state"].removeprefix("deflate;")
    return dict(json.loads(zlib.decompress(base64.b64decode(packed))))


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.key)
def test_a_view_shows_trials_best_first_and_fits_into_a_tag(view):
    client = Tags()
    views.save(client, "1", [view])
    (tag,) = client.tags.values()
    assert len(tag) < OLD_LIMIT
    state = state_of(tag)
    assert state == view.state
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`0.7_mAP_0.3_mAP50`", False)
    assert state["searchFilter"] == "tags.`tuning.trial` LIKE '%'"
    sections = {section["uuid"] for section in state.get("compareRunSections", [])}
    assert {chart["metricSectionId"] for chart in state.get("compareRunCharts", [])} == sections


def test_of_an_objective_to_minimize_the_smallest_is_first():
    assert views.views("validation_loss/total", True, tasks.get("detection"), ["car"])[0].state["orderByAsc"]


def test_a_view_that_a_user_has_saved_again_is_left_alone_and_a_deleted_one_comes_back():
    client = Tags()
    views.save(client, "1", VIEWS)
    before, key = dict(client.tags), views.TAG + views.TRIALS
    views.save(client, "1", VIEWS)
    assert client.tags == before
    edited = json.loads(before[key]) | {"state": "{}", "updatedAt": 2**53}
    client.tags[key] = json.dumps(edited)
    del client.tags[views.TAG + views.CURVES]
    views.save(client, "1", VIEWS)
    assert json.loads(client.tags[key]) == edited
    assert state_of(client.tags[views.TAG + views.CURVES]) == VIEWS[1].state


def test_the_printed_link_opens_the_trials_on_a_server_or_on_this_machine(tmp_path):
    write_note(tmp_path, {"uri": "http://tracking:5000", "experiment": "7"})
    trials = "/#/experiments/7/runs?viewStateShareKey=trials&workflowType=machine_learning"
    assert seen_in_mlflow(tmp_path, "http://tracking:5000") == [("trials", f"http://tracking:5000{trials}")]
    write_note(tmp_path, {"uri": "sqlite:////here/mlflow.db", "experiment": "7"})
    command, link = seen_in_mlflow(tmp_path, "sqlite:////here/mlflow.db")
    assert command[1].endswith("ui --backend-store-uri sqlite:////here/mlflow.db")
    assert link == ("trials", f"http://127.0.0.1:5000{trials}")
    write_note(tmp_path, {})
    assert len(seen_in_mlflow(tmp_path, "sqlite:////here/mlflow.db")) == 1


def tracked(study: Study, uri: str, trials: int) -> None:
    tracking = Tracking(study, uri, study.folder.parent / "mlruns", 90, writer=MLflowWriter)
    search = search_of(study, trials, (tracking,), seeds=1)
    tracking.start()
    run_here(search)
    assert tracking.close() is None


@pytest.mark.slow
def test_a_study_has_its_views_description_source_and_data_also_if_it_was_logged_before_there_were_any(
    open_study, uri, tmp_path
):
    study = open_study()
    tracked(study, uri, 4)
    client, note = MlflowClient(uri), read_note(study.folder)
    experiment = note["experiment"]
    tags = client.get_experiment(experiment).tags
    assert {key for key in tags if key.startswith(views.TAG)} == {views.TAG + view.key for view in VIEWS}
    best = max(study.records(), key=lambda record: (record.state == "completed", record.value or 0))
    run = read_note(study.trial_folder(best.number))["run"]
    words = f"[trial {best.number}](#/experiments/{experiment}/runs/{run}) with mAP **{best.value:.3f}**"
    parent = client.get_run(note["run"])
    for description in (tags[descriptions.NOTE], parent.data.tags[descriptions.NOTE]):
        assert description.startswith(f"The best of 4 trials is {words}")
    trial = client.get_run(run)
    assert trial.data.tags[descriptions.NOTE].startswith("**completed**: took all 90 steps.")
    for found in (parent, trial):
        assert found.data.tags["mlflow.source.name"] == "tuning"
        assert found.inputs.dataset_inputs[0].dataset.digest == study.manifest.data["fingerprint"]

    for view in VIEWS:  # as a version without views left it
        client.delete_experiment_tag(experiment, views.TAG + view.key)
    write_note(study.folder, {key: note[key] for key in ("uri", "experiment", "run")})
    tracked(study, uri, 4)
    tags = client.get_experiment(experiment).tags
    assert {key for key in tags if key.startswith(views.TAG)} == {views.TAG + view.key for view in VIEWS}


def test_a_hostile_name_is_shown_literally(open_study):
    study = open_study()
    run_here(search_of(study, 1, seeds=1))
    record = study.records()[0]
    hostile = OBJECTIVE.__class__("<b>|mAP", OBJECTIVE.criteria)
    text = descriptions.of_study(study.folder, hostile, [record], "1", lambda number: None)
    assert "&lt;b&gt;\\|mAP" in text
    assert "<b>" not in text
    assert about().study == study.name
