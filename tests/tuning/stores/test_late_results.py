"""What workers upload late of an ended trial is fetched nevertheless, and a search does not wait long for it."""

from __future__ import annotations

import json
import time

import pytest
from searches import about, run_here, search_of

from tuning.callbacks import uploads
from tuning.callbacks.uploads import Uploads
from tuning.stores import folders
from tuning.study.storage.keys import UPLOADED
from tuning.study.study import Study


@pytest.fixture
def searched(on_machine):
    """A study of so many trials in S3, and what fetches the files of its workers."""

    opened = []

    def search(trials: int) -> tuple[Study, Uploads]:
        study = Study.open(on_machine("machine-1") / "street", about(), durable=False)
        opened.append(study)
        fetching = Uploads(study)
        found = search_of(study, trials, (fetching,))
        run_here(found)
        found.interrupt()
        return study, fetching

    yield search
    for study in opened:
        study.close()


def of_worker(store, study: Study, number: int) -> str:
    """The worker of a trial uploads its results. Returns the name of their file."""
    step = study.record(number).step
    store.write(f"street/trials/{number}/detections-{step}.npz", b"results")
    store.write(f"street/trials/{number}/{UPLOADED}", json.dumps({"step": step}).encode())
    return f"detections-{step}.npz"


def test_results_that_come_late_are_fetched_at_the_end_of_the_search(searched, s3_store, monkeypatch):
    monkeypatch.setattr(uploads, "ON_THEIR_WAY_SECONDS", 0.0)
    study, fetching = searched(2)
    time.sleep(0.5)  # the thread has looked for them
    monkeypatch.setattr(uploads, "ON_THEIR_WAY_SECONDS", 60.0)
    names = [of_worker(s3_store, study, number) for number in (0, 1)]
    fetching.close()
    assert [(study.trial_folder(number) / name).read_bytes() for number, name in enumerate(names)] == [
        b"results"
    ] * 2


def test_results_that_no_run_could_fetch_are_fetched_by_the_next_one(searched, s3_store, monkeypatch):
    monkeypatch.setattr(uploads, "ON_THEIR_WAY_SECONDS", 0.0)
    study, fetching = searched(1)
    fetching.close()
    study.close()
    monkeypatch.setattr(uploads, "ON_THEIR_WAY_SECONDS", 60.0)
    name = of_worker(s3_store, study, 0)
    study, fetching = searched(1)
    fetching.close()
    assert (study.trial_folder(0) / name).is_file()


def test_a_checkpoint_that_was_on_its_way_when_its_trial_lost_it_is_deleted(searched, s3_store, tmp_path):
    """A worker tells of a rung while it uploads; the scheduler ends the trial, and retention drops it, at once."""
    study, fetching = searched(1)
    study.stored.drop_checkpoints(0)
    study.stored._push()
    (tmp_path / "checkpoint-90").mkdir()
    (tmp_path / "checkpoint-90" / "state").write_text("90")
    folders.upload(s3_store, "street/trials/0/checkpoint-90", tmp_path / "checkpoint-90", {})
    s3_store.write("street/trials/0/checkpoint-30.ab12cd34/state", b"of an upload that broke off")
    of_worker(s3_store, study, 0)
    fetching.close()
    study.close()
    assert [each.key for each in s3_store.entries("street/trials/0/checkpoint-")] == []


def test_the_end_of_a_search_waits_once_and_not_for_each_trial(searched, monkeypatch):
    monkeypatch.setattr(uploads, "ON_THEIR_WAY_SECONDS", 1.0)
    monkeypatch.setattr(uploads, "LOOK_SECONDS", 0.05)
    _, fetching = searched(12)
    began = time.monotonic()
    fetching.close()
    assert time.monotonic() - began < 8.0
