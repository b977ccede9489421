"""A tracking server that is killed, loses answers, or is another's: every metric is there once, nothing is lost."""

from __future__ import annotations

import http.server
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from mlflow_server import MlflowServer
from searches import search_of
from test_tracking import chunk

from tuning.search.search import Search
from tuning.study import curves
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.tracking import callback
from tuning.tracking.callback import Tracking
from tuning.tracking.mlflow_writer import MLflowWriter

pytestmark = pytest.mark.slow(45)
PATIENCE = 300.0  # of a busy machine


@pytest.fixture(scope="module")
def server(store: Path, tmp_path_factory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "mlflow.db").write_bytes(store.read_bytes())
    server = MlflowServer(folder / "mlflow.db", folder / "artifacts").start()
    yield server
    server.kill()


def database(server: MlflowServer) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{server._database}?mode=ro", uri=True)


def trained(search: Search, begun: Callable[[int], None] = lambda number: None) -> None:
    """Run a search, with a curve of losses to every rung."""
    while (record := search.propose()) is not None:
        begun(record.number)
        folder = search.study.trial_folder(record.number)
        (folder / "pipeline.config").write_text("model {}")
        step = 0
        for rung in search.scheduler.rungs_of(record.number):
            for last in range(step + 5, rung + 1, 5):
                search.report(chunk(record.number, last - 4, last))
            step = rung
            mAP = 0.001 * step + 0.01 * record.number
            metrics = {"mAP": mAP, "mAP50": mAP, "AP/vehicle": mAP, "validation_loss/total": 1 - mAP}
            if not search.report(StepResult(record.number, step, "rung", metrics=metrics)):
                break


def check_all_is_there_once(server: MlflowServer, study: Study) -> None:
    """Ask the server's own database, which holds what the server's answers might hide."""
    with database(server) as base:
        runs = base.execute(
            "SELECT t.run_uuid, t.value FROM tags t JOIN runs r ON r.run_uuid = t.run_uuid "
            "JOIN experiments e ON e.experiment_id = r.experiment_id WHERE t.key = 'tuning.trial' AND e.name = ?",
            (study.name,),
        ).fetchall()
        assert sorted(int(number) for _, number in runs) == list(range(len(study.records())))
        for run, number in runs:
            there = Counter(
                (key, step)
                for key, step in base.execute("SELECT key, step FROM metrics WHERE run_uuid = ?", (run,))
            )
            folder, record = study.trial_folder(int(number)), study.record(int(number))
            steps = [line["step"] for _, line in curves.read(folder / "metrics.jsonl")]
            expected = {(name, step) for name in ("training_loss/total", "learning_rate") for step in steps}
            expected |= {(name, rung.step) for rung in record.rungs for name in rung.metrics}
            kept = {key: count for key, count in there.items() if key in expected}
            assert kept == dict.fromkeys(expected, 1)
            assert max(there.values()) == 1
            tags = dict(base.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)).fetchall())
            assert tags["verdict"] == record.state
            assert tags["command"].startswith(f"python -m tuning.train --run {run}")
            params = dict(base.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)).fetchall())
            assert params["model"] == "mobilenet"


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_server_that_is_killed_and_comes_back_has_everything_once(
    open_study, server, tmp_path, monkeypatch
):
    monkeypatch.setattr(callback, "RETRY_SECONDS", 0.2)
    study = open_study()
    told = Tracking(study, server.uri, None, 90)
    search = search_of(study, 6, (told,))
    told.start()

    def at(number: int) -> None:
        if number == 1:  # in the middle of telling of it
            wait_until(lambda: (study.trial_folder(0) / "mlflow.json").exists())
            search.report(chunk(1, 1, 3))
            server.kill()
        if number == 4:
            wait_until(lambda: told._problem)
            server.start()

    trained(search, at)
    assert told.close(PATIENCE) is None
    check_all_is_there_once(server, study)


def test_what_was_told_but_never_answered_is_there_once(open_study, server, tmp_path, monkeypatch):
    monkeypatch.setattr(callback, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(callback, "CLOSE_RETRY_SECONDS", 0.01)
    send, lost, rng = requests.Session.request, [], random.Random(7)

    def lossy(*arguments, **named):
        answer = send(*arguments, **named)
        if rng.random() < 0.2:
            lost.append(arguments)
            raise requests.ConnectionError("the answer was lost")
        return answer

    monkeypatch.setattr(requests.Session, "request", lossy)
    study = open_study("lossy", study="lossy")
    told = Tracking(study, server.uri, None, 90, writer=MLflowWriter)
    told.start()
    trained(search_of(study, 4, (told,)))
    assert told.close(PATIENCE) is None
    assert len(lost) > 5
    check_all_is_there_once(server, study)


def test_a_server_of_another_major_version_is_named_and_costs_nothing(open_study, tmp_path):
    class Old(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"2.9.1")

        def log_message(self, *_):
            pass

    old = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Old)
    threading.Thread(target=old.serve_forever, daemon=True).start()
    study = open_study("old")
    told = Tracking(study, f"http://127.0.0.1:{old.server_port}", None, 90)
    told.start()
    trained(search_of(study, 3, (told,)))
    said = told.close(timeout=0.1)
    old.shutdown()
    assert said.startswith("3 trials (http://127.0.0.1")
    assert "runs MLflow 2.9.1" in said
    assert [record.verdict is not None for record in study.records()] == [True] * 3
