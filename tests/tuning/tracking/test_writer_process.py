"""The process that speaks with MLflow: killed, left behind or asked in vain, it loses nothing and says nothing twice."""

from __future__ import annotations

import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from searches import run_here, search_of
from test_tracking import told

from tuning.execution.environment import Share
from tuning.tracking.callback import Tracking
from tuning.tracking.mlflow_writer import WriterSettings
from tuning.tracking.writer_process import LoggingFailed, WriterGone, WriterProcess, one_line

pytestmark = pytest.mark.slow


@pytest.fixture
def study(open_study):
    """Of two trials that have ended."""
    study = open_study()
    run_here(search_of(study, 2))
    return study


@pytest.fixture
def settings(study, uri, tmp_path) -> WriterSettings:
    artifacts = tmp_path / "artifacts"
    return WriterSettings(study.manifest, study.folder, study.objective, (), uri, artifacts, Share(), "")


def tell(writer: WriterProcess, study, number: int) -> None:
    writer.log_trial(study.record(number), study.trial(number).params, study.trial_folder(number))


def test_a_process_of_its_own_tells_what_a_teller_does(open_study, uri, tmp_path):
    study = open_study()
    tracking = Tracking(study, uri, tmp_path / "artifacts", 90)
    tracking.start()
    run_here(search_of(study, 3, (tracking,)))
    assert tracking.close() is None
    assert tracking._writer._process.returncode == 0
    runs = told(uri)
    assert sorted(runs) == ["", "0", "1", "2"]
    assert {runs[str(r.number)]["run"].data.tags["verdict"] for r in study.records()} == {
        r.state for r in study.records()
    }
    ended = sum(int(runs[""]["run"].data.tags[f"trials.{state}"]) for state in ("completed", "pruned"))
    assert ended == 3


def test_when_it_is_killed_another_takes_its_place(study, uri, tmp_path, monkeypatch):
    monkeypatch.setattr("tuning.tracking.callback.CLOSE_RETRY_SECONDS", 0.01)
    tracking = Tracking(study, uri, tmp_path / "artifacts", 90)
    tracking.start()
    while tracking._writer is None:
        time.sleep(0.001)
    killed = tracking._writer._process
    killed.kill()
    assert tracking.close() is None
    assert tracking._writer._process.pid != killed.pid
    assert sorted(told(uri)) == ["", "0", "1"]


def test_its_death_is_said_with_what_it_said_last(study, settings):
    writer = WriterProcess(settings, study.records())
    writer._process.kill()
    with pytest.raises(WriterGone, match="ended with code -9"):
        tell(writer, study, 0)


def test_what_goes_wrong_is_a_line_and_it_may_be_asked_again(study, settings, uri, tmp_path):
    with sqlite3.connect(tmp_path / "mlflow.db") as base:
        [(right,)] = base.execute("SELECT version_num FROM alembic_version").fetchall()
        base.execute("UPDATE alembic_version SET version_num = '0a8213491aaa'")
    writer = WriterProcess(settings, study.records())
    with pytest.raises(LoggingFailed) as refused:
        tell(writer, study, 0)
    assert "\n" not in one_line(refused.value)
    assert "Traceback" in str(refused.value.__cause__)
    with sqlite3.connect(tmp_path / "mlflow.db") as base:
        base.execute("UPDATE alembic_version SET version_num = ?", (right,))
    tell(writer, study, 0)
    writer.close()
    assert sorted(told(uri)) == ["", "0"]


def test_it_does_not_hear_ctrl_c_and_ends_with_its_driver(study, settings, tmp_path):
    code = (
        "import pickle, sys, time\n"
        "from tuning.tracking.writer_process import WriterProcess\n"
        "writer = WriterProcess(*pickle.load(sys.stdin.buffer))\n"
        "print(writer._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    driver.stdin.write(pickle.dumps((settings, study.records())))
    driver.stdin.flush()
    pid = int(driver.stdout.readline())
    assert os.getpgid(pid) != os.getpgid(driver.pid)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    end = time.monotonic() + 60
    while os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_waits_for_the_one_of_a_killed_driver(study, settings, uri):
    first = WriterProcess(settings, study.records())
    tell(first, study, 0)
    second = WriterProcess(settings, study.records())
    second._send(("log_trial", study.record(1), study.trial(1).params, study.trial_folder(1)))
    time.sleep(0.5)
    assert sorted(told(uri)) == ["", "0"]
    first.close()
    second._request("end_study", study.records())
    second.close()
    assert sorted(told(uri)) == ["", "0", "1"]
