"""The MLflow database that a search makes: whole or not there, whenever the search is killed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tuning.tracking import store

ROOT = Path(__file__).parents[3]


@pytest.mark.slow(15)
def test_a_kill_while_the_tables_are_made_leaves_nothing_that_cannot_be_opened(tmp_path):
    uri = store.default_uri(tmp_path)
    making = f"from tuning.tracking import store; store.client({uri!r})"
    maker = subprocess.Popen([sys.executable, "-c", making], cwd=ROOT)
    while not any(file.stat().st_size for file in tmp_path.glob(".mlflow.db.*/mlflow.db")):
        assert maker.poll() is None, "it was done before it could be killed"
        time.sleep(0.01)
    maker.kill()
    maker.wait()
    assert not (tmp_path / "mlflow.db").exists()
    assert [each.name for each in store.client(uri).search_experiments()] == ["Default"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".mlflow.db.lock", "mlflow.db"]


@pytest.mark.slow(15)
def test_searches_that_begin_together_make_one(tmp_path):
    uri, made = store.default_uri(tmp_path / "studies"), []

    def make() -> None:
        made.append(store.client(uri).create_experiment(threading.current_thread().name))

    searches = [threading.Thread(target=make, name=name) for name in ("one", "two")]
    for search in searches:
        search.start()
    for search in searches:
        search.join()
    assert len(set(made)) == 2
    names = {each.name for each in store.client(uri).search_experiments()}
    assert names == {"Default", "one", "two"}


def test_the_tags_of_runs_keep_the_names_that_stores_have():
    names = store.STUDY, store.TRIAL, store.MANIFEST, store.SUGGESTED, store.VERDICT, store.REASON
    known = (
        "tuning.study",
        "tuning.trial",
        "tuning.manifest",
        "tuning.suggested",
        "verdict",
        "verdict.reason",
    )
    assert names == known
