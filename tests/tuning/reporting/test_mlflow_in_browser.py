"""MLflow's own pages in Chromium, on a study that was told to a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chromium import tab
from mlflow_server import MlflowServer
from searches import about, search_of
from test_tracking_server import PATIENCE, trained

from tuning.study.study import Study
from tuning.tracking.callback import Tracking
from tuning.tracking.notes import read_note

pytestmark = pytest.mark.slow
DRAWN = "svg.main-svg"


@pytest.fixture
def told(store: Path, tmp_path: Path):
    """The server's address, and the runs of a study of four trials."""
    (tmp_path / "mlflow.db").write_bytes(store.read_bytes())
    server = MlflowServer(tmp_path / "mlflow.db", tmp_path / "artifacts").start()
    study = Study.open(tmp_path / "street", about())
    tracking = Tracking(study, server.uri, None, 90)
    search = search_of(study, 4, (tracking,))
    tracking.start()
    trained(search)
    assert tracking.close(PATIENCE) is None
    runs = [read_note(study.trial_folder(number))["run"] for number in range(4)]
    experiment = read_note(study.folder)["experiment"]
    study.close()
    yield server.uri, experiment, runs
    server.kill()


def test_they_list_the_study_open_a_trial_with_its_charts_and_compare_trials(told):
    uri, experiment, runs = told
    with tab(viewport={"width": 1300, "height": 900}) as seen:
        page = seen.page
        page.goto(f"{uri}/#/experiments")
        page.wait_for_selector("a:has-text('street')")

        page.goto(f"{uri}/#/experiments/{experiment}/runs?workflowType=machine_learning")
        page.locator(".ag-row:has(a:has-text('street')) button").first.click()
        page.wait_for_selector("a:has-text('trial 3')")
        page.click("a:has-text('trial 0')")
        page.wait_for_selector("text=verdict.reason")
        page.click("text=Model metrics")
        page.wait_for_selector(DRAWN)
        for section in ("AP", "training_loss", "validation_loss"):
            page.wait_for_selector(f"text={section}")

        chosen = json.dumps(runs).replace('"', "%22")
        page.goto(f"{uri}/#/compare-runs?runs={chosen}&experiments=[%22{experiment}%22]")
        page.wait_for_selector("text=Comparing 4 Runs")
        page.wait_for_selector(DRAWN)
        for number in range(4):
            page.wait_for_selector(f"text=trial {number}")
