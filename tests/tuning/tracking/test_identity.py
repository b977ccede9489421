"""Whose run is whose in MLflow: a study is known by its id, wherever its folder and the store are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from searches import about, run_here, search_of

from tuning.api.promotion import store_of
from tuning.study import reading
from tuning.study.study import Study
from tuning.tracking.callback import Tracking
from tuning.tracking.identity import tell_copy_apart
from tuning.tracking.mlflow_writer import MLflowWriter
from tuning.tracking.store import default_uri

pytestmark = pytest.mark.slow


@pytest.fixture
def studies(tmp_path: Path, store: Path) -> Path:
    """A studies folder with an empty MLflow store."""
    folder = tmp_path / "studies"
    folder.mkdir()
    shutil.copy(store, folder / "mlflow.db")
    return folder


def logged(folder: Path, trials: int, uri: str | None = None) -> str | None:
    """Run the study in `folder` to so many trials, and log it as the command does. Returns what was not logged."""
    study = Study.open(folder, about())
    try:
        artifacts = None if uri else folder.parent / "mlruns" / study.name
        uri = uri or default_uri(folder.parent)
        tell_copy_apart(study, uri)
        tracking = Tracking(study, uri, artifacts, 90, writer=MLflowWriter)
        search = search_of(study, trials, (tracking,))
        tracking.start()
        run_here(search)
        return tracking.close(timeout=20)
    finally:
        study.close()


def runs_of(uri: str, view: int = ViewType.ACTIVE_ONLY) -> list:
    client = MlflowClient(uri)
    experiments = [client.get_experiment_by_name("street").experiment_id]
    return client.search_runs(experiments, run_view_type=view)


def trials_by_parent(uri: str) -> list[list[str]]:
    """The numbers of the trials of each study of the experiment."""
    runs, found = runs_of(uri), {}
    for run in runs:
        if "mlflow.parentRunId" not in run.data.tags:
            found[run.info.run_id] = []
    for run in runs:
        if "mlflow.parentRunId" in run.data.tags:
            found[run.data.tags["mlflow.parentRunId"]].append(run.data.tags["tuning.trial"])
    return sorted(sorted(each) for each in found.values())


def test_a_study_that_is_deleted_and_made_again_has_a_run_of_its_own(studies):
    logged(studies / "street", 2)
    shutil.rmtree(studies / "street")
    assert logged(studies / "street", 3) is None
    assert trials_by_parent(default_uri(studies)) == [["0", "1"], ["0", "1", "2"]]


def test_two_studies_of_one_path_and_name_share_a_server_and_no_run(studies, tmp_path):
    uri = default_uri(studies)
    logged(tmp_path / "container" / "street", 2, uri)
    (tmp_path / "container").rename(tmp_path / "first container")
    assert logged(tmp_path / "container" / "street", 2, uri) is None
    assert trials_by_parent(uri) == [["0", "1"], ["0", "1"]]


@pytest.mark.parametrize("named", ["studies", "my stüdies 50%"])
def test_a_study_goes_on_in_its_own_runs_where_all_studies_were_moved(studies, tmp_path, named):
    studies = studies.rename(tmp_path / named)
    logged(studies / "street", 2)
    before = {run.info.run_id for run in runs_of(default_uri(studies))}
    moved = studies.rename(tmp_path / "elsewhere")
    assert logged(moved / "street", 3) is None
    uri = default_uri(moved)
    assert trials_by_parent(uri) == [["0", "1", "2"]]
    assert before < {run.info.run_id for run in runs_of(uri)}
    assert not studies.exists(), "no artifact is made at the old place"
    for run in runs_of(uri):
        if "tuning.trial" in run.data.tags:
            assert [file.path for file in MlflowClient(uri).list_artifacts(run.info.run_id)] == [
                "recipe.yaml"
            ]
            assert run.info.artifact_uri.startswith((moved / "mlruns").as_uri())
    assert store_of(reading.read("street", moved), None) == uri


def test_a_copy_of_all_studies_goes_on_in_its_own_store(studies, tmp_path):
    logged(studies / "street", 2)
    copied = Path(shutil.copytree(studies, tmp_path / "copy"))
    assert logged(copied / "street", 3) is None
    assert trials_by_parent(default_uri(copied)) == [["0", "1", "2"]]
    assert trials_by_parent(default_uri(studies)) == [["0", "1"]]
    assert all(run.info.artifact_uri.startswith(studies.as_uri()) for run in runs_of(default_uri(studies)))


def test_a_copy_beside_the_original_gets_runs_of_its_own_and_a_renamed_study_keeps_them(studies):
    logged(studies / "street", 2)
    shutil.copytree(studies / "street", studies / "lane")
    assert logged(studies / "lane", 3) is None
    assert trials_by_parent(default_uri(studies)) == [["0", "1"], ["0", "1", "2"]]
    (studies / "street").rename(studies / "road")
    assert logged(studies / "road", 4) is None
    assert trials_by_parent(default_uri(studies)) == [["0", "1", "2"], ["0", "1", "2", "3"]]


def delete(client: MlflowClient, run: str) -> None:
    client.delete_run(run)


def delete_for_good(client: MlflowClient, run: str) -> None:
    client.delete_run(run)
    client._tracking_client.store._hard_delete_run(run)


@pytest.mark.parametrize("how", [delete, delete_for_good])
@pytest.mark.parametrize("whose", ["study", "trial"])
def test_a_run_deleted_by_its_user_is_restored_or_begun_anew_once(
    studies, how: Callable[[MlflowClient, str], None], whose: str
):
    logged(studies / "street", 2)
    folder = studies / "street" / ("trials/1" if whose == "trial" else "")
    note = json.loads((folder / "mlflow.json").read_text())
    uri = default_uri(studies)
    how(MlflowClient(uri), note["run"])
    if whose == "trial":  # it has something to log
        (folder / "mlflow.json").write_text(json.dumps(note | {"told": None}))
    assert logged(studies / "street", 3) is None
    assert trials_by_parent(uri) == [["0", "1", "2"]]
    assert len(runs_of(uri, ViewType.ALL)) == 4
    assert (json.loads((folder / "mlflow.json").read_text())["run"] == note["run"]) == (how is delete)


def test_a_study_of_a_version_without_ids_keeps_its_runs(studies):
    logged(studies / "street", 2)
    path = studies / "street" / "study.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "id"}))
    client = MlflowClient(default_uri(studies))
    for run in runs_of(default_uri(studies)):
        client.delete_tag(run.info.run_id, "tuning.study_id")
    before = {run.info.run_id for run in runs_of(default_uri(studies))}
    assert logged(studies / "street", 3) is None
    assert before < {run.info.run_id for run in runs_of(default_uri(studies))}
    assert trials_by_parent(default_uri(studies)) == [["0", "1", "2"]]


def test_what_the_store_refuses_is_said_at_once_and_the_rest_is_logged(studies, monkeypatch):
    original = MLflowWriter.log_trial

    def log_trial(self, record, suggested, folder):
        if record.number == 1:  # as MLflow does when a parameter is there with another value
            self._client.log_param(self._parent, "seed", "another")
        original(self, record, suggested, folder)

    monkeypatch.setattr(MLflowWriter, "log_trial", log_trial)
    monkeypatch.setattr("tuning.tracking.callback.CLOSE_RETRY_SECONDS", 3600.0)
    monkeypatch.setattr("tuning.tracking.callback.RETRY_SECONDS", 0.1)
    said = logged(studies / "street", 3)
    assert said is not None
    assert said.startswith("1 trials (MlflowException: ")
    assert trials_by_parent(default_uri(studies)) == [["0", "2"]]
