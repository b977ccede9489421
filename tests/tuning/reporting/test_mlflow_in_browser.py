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
from tuning.tracking import views
from tuning.tracking.callback import Tracking
from tuning.tracking.notes import read_note

pytestmark = pytest.mark.slow
DRAWN = "svg.main-svg"


@pytest.fixture(scope="module")
def told(store: Path, tmp_path_factory: pytest.TempPathFactory):
    """The server's address, and the runs of a study of five trials, of which the last one waits for more time."""
    tmp_path = tmp_path_factory.mktemp("told")
    (tmp_path / "mlflow.db").write_bytes(store.read_bytes())
    server = MlflowServer(tmp_path / "mlflow.db", tmp_path / "artifacts").start()
    study = Study.open(tmp_path / "street", about())
    tracking = Tracking(study, server.uri, None, 90)
    search = search_of(study, 4, (tracking,))
    tracking.start()
    trained(search)
    waiting = search_of(study, 5, (tracking,))
    waiting.propose()
    waiting.interrupt()
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
        page.wait_for_selector(".ag-row a:has-text('trial 3')")
        page.click(".ag-row a:has-text('trial 0')")  # the description of the study has links too
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


def test_one_click_on_the_printed_link_shows_the_trials_best_first_and_none_in_red(told):
    uri, experiment, _ = told
    with tab(viewport={"width": 1900, "height": 900}) as seen:
        page = seen.page
        page.goto(f"{uri}{views.link(experiment)}")
        page.wait_for_selector(".ag-row a:has-text('trial 4')")
        rows = page.locator(".ag-pinned-left-cols-container .ag-row")
        shown = sorted((int(row.get_attribute("row-index")), row.inner_text()) for row in rows.all())
        names = [line for _, text in shown for line in text.splitlines() if line.startswith("trial ")]
        assert names == ["trial 3", "trial 2", "trial 1", "trial 0", "trial 4"], (
            "best first, the parent is not there"
        )
        for column in ("mAP", "mAP50", "model", "optimizer.kind", "schedule.base", "rung", "verdict"):
            page.wait_for_selector(f".ag-header-cell:has-text('{column}')")
        page.wait_for_selector("text=The best of 5 trials is")
        icons = "document.querySelectorAll('.ag-row [role=img]')"
        colours = page.evaluate(f"[...{icons}].map(icon => getComputedStyle(icon).color)")
        assert colours
        assert not [colour for colour in colours if red(colour)]


@pytest.mark.parametrize(
    ("key", "title", "charts"),
    [(views.CURVES, "By step", 3), (views.DECIDED, "What decided", 2), (views.GROUPS, "AP of class", 1)],
)
def test_the_other_views_draw_their_charts(told, key, title, charts):
    uri, experiment, _ = told
    with tab(viewport={"width": 1900, "height": 2000}) as seen:
        seen.page.goto(f"{uri}{views.link(experiment, key)}")
        seen.page.wait_for_selector(f"text={title}")
        seen.page.wait_for_function(f"document.querySelectorAll('{DRAWN}').length >= {charts}")


def red(colour: str) -> bool:
    """Whether `rgb(200, 45, 76)` is."""
    r, g, b = (float(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3])
    return r > 150 and g < 100 and b < 130
