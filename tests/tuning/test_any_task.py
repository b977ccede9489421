"""A task that has nothing to do with detection, defined in toy_task.py alone, goes through the whole package."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import toy_task
from mlflow import MlflowClient

import tuning
from trainers.errors import UserError
from tuning import compare, ledger, postprocess, replay

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, toy_task, tuning
if __name__ == "__main__":
    tuning.search("valley", trials=8, studies_dir=sys.argv[1], study="descent", workers=1, seed=3)
"""

pytestmark = [pytest.mark.slow(90), pytest.mark.timeout(900)]


def started(studies: Path, pace: float) -> psutil.Popen:
    """A search in a process of its own, whose trainer takes `pace` seconds a step."""
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    environment = os.environ | {"PYTHONPATH": paths, "TOY_PACE": str(pace)}
    script = studies / "script.py"
    script.write_text(SCRIPT)
    return psutil.Popen(
        [sys.executable, str(script), str(studies)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for_a_rung(studies: Path, driver: psutil.Popen) -> None:
    deadline = time.monotonic() + 240
    while not list(studies.glob("descent/trials/1/heights-*.npz")):
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the study `descent` is: begun, killed while trial 1 was training, and searched to its end."""
    folder = tmp_path_factory.mktemp("studies")
    killed = started(folder, 0.02)
    wait_for_a_rung(folder, killed)
    children = killed.children(recursive=True)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    psutil.wait_procs(children, timeout=60)
    resumed = started(folder, 0.0)
    _, wrong = resumed.communicate()
    assert resumed.returncode == 0, wrong.decode()
    return folder


@pytest.fixture(scope="module")
def result(studies: Path) -> tuning.StudyResult:
    return tuning.load_study("descent", studies)


def test_a_killed_search_goes_on_and_loses_no_rung(result):
    assert len(result.trials) == 8
    for record in result.trials:
        steps = [rung.step for rung in record.rungs]
        assert record.verdict is not None
        assert record.verdict.final
        assert steps == sorted(set(steps))
    frame = result.to_dataframe()
    assert len(frame) == 8
    assert frame["params.rate"].between(1e-3, 1.0).all()
    assert {"state", "height", "distance", "hits", "seconds_training"} <= set(frame.columns)


def test_the_best_trial_has_the_smallest_objective(result):
    best = result.best
    full = [record for record in result.trials if record.state == "completed"]
    assert result.objective.name == "height"
    assert result.objective.direction == "minimize"
    assert best.value == min(record.value for record in full)
    assert best.model == "paraboloid"
    assert result.recipe(best.number).start == pytest.approx(best.recipe["start"])


def test_the_summary_names_the_objective(result, studies):
    summary = json.loads((studies / "descent" / "summary.json").read_text())
    assert summary["objective"] == {"name": "height", "direction": "minimize"}
    assert summary["best"]["height"] == summary["best"]["value"] == result.best.value


def test_what_the_trainer_keeps_lies_beside_the_trial(result):
    folder = result.trial_folder(result.best.number)
    assert (folder / "valley.txt").read_text().startswith("x**2")
    assert list(result.curve(result.best.number).columns) == ["training_loss/total", "learning_rate"]


def test_mlflow_has_each_trial_once(result, studies):
    client = MlflowClient(f"sqlite:///{studies / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("descent").experiment_id])
    parent = next(run for run in runs if "tuning.trial" not in run.data.tags)
    assert parent.data.metrics["height"] == pytest.approx(result.best.value)
    assert parent.data.params["objective"] == "height"
    trials = sorted(int(run.data.tags["tuning.trial"]) for run in runs if run is not parent)
    assert trials == list(range(8))
    best = next(run for run in runs if run.data.tags.get("tuning.trial") == str(result.best.number))
    assert best.data.params["model"] == "paraboloid"
    assert "valley.txt" in [file.path for file in client.list_artifacts(best.info.run_id)]


def test_the_report_ranks_by_the_objective_with_intervals(result, tmp_path):
    found = json.loads(result.report("json"))
    ranking = found["sections"]["ranking"]["trials"]
    assert ranking[0]["trial"] == result.best.number
    assert ranking[0]["interval"]["low"] < ranking[0]["value"] < ranking[0]["interval"]["high"]
    assert found["headline"].startswith("height ")
    page = result.report("html", tmp_path / "report.html")
    assert "mAP" not in page.read_text()


def test_studies_compare_the_ledger_adds_up_and_the_search_replays(result, studies, capsys):
    assert compare.main(["descent", "descent", "--studies-dir", str(studies)]) == 0
    assert "is first with height" in capsys.readouterr().out
    assert ledger.main(["descent", "--studies-dir", str(studies)]) == 0
    assert "cutoff" in capsys.readouterr().out
    assert replay.main(["descent", "--studies-dir", str(studies), "--seeds", "2"]) == 0
    assert "2 replays" in capsys.readouterr().out


def test_weights_of_other_trials_are_tried_beside_the_winners(result, studies, capsys):
    assert postprocess.main(["descent", "--studies-dir", str(studies), "--average"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"descent trial {result.best.number}, step 90"
    assert said[1].startswith(f"trial {result.best.number} alone: height ")
    assert said[2].startswith("with trial ")
    assert postprocess.main(["descent", "--studies-dir", str(studies), "--average", "--trial", "99"]) == 2


def test_the_winner_is_promoted_and_runs_from_the_registry(result, studies):
    import mlflow

    done = result.promote()
    assert (done.model, done.before) == ("descent", None)
    mlflow.set_tracking_uri(f"sqlite:///{studies / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model(f"models:/descent/{done.version}")
    assert model.predict({"place": np.zeros((1, 2))})["height"].shape == (1,)


def test_a_study_refuses_another_objective(studies):
    with pytest.raises(UserError, match="was begun with --objective height, now it is hits"):
        tuning.search("valley", trials=9, studies_dir=studies, study="descent", objective="hits")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": "depth"}, "unknown metric 'depth'; metrics: height, distance, hits"),
        ({"objective": "0.5*height+0.5*hits"}, "cannot add metrics to maximize and metrics to minimize"),
        ({"sampler": "oracle"}, "unknown sampler 'oracle'; known are"),
        ({"scheduler": "never"}, "unknown scheduler 'never'; known are"),
        ({"trials": "six"}, "trials: must be a valid integer"),
        ({"trails": 6}, "unknown argument 'trails'"),
        ({"time": "soon"}, "time: 'soon' is not a duration"),
        ({"callbacks": [print]}, "callbacks: must be tuning.Callback objects"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line_and_nothing_is_written(arguments, message, tmp_path):
    with pytest.raises(UserError) as refused:
        tuning.search("valley", studies_dir=tmp_path / "studies", **arguments)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "studies").exists()


def test_it_is_registered_by_one_module():
    assert toy_task.MODEL.task == toy_task.DESCENT.name
    with pytest.raises(UserError, match="two spaces are called 'valley'"):
        toy_task.search_spaces.register(toy_task.Space("valley", (toy_task.DescentBranch(),)))
