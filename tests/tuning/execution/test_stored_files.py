"""A worker whose study is in S3: each machine has only its own disk, and a trial goes on from what the store has."""

from __future__ import annotations

import dataclasses
import errno
import faulthandler
import shutil
import time

import pytest
from curve_trainer import DATASET, CurveTrainer
from searches import CONDITIONS, SPACE

from trainers.datasets.dataset import Part
from trainers.errors import UserError
from tuning.execution import stored_data, stored_files
from tuning.execution.stored_files import StoredFiles
from tuning.execution.worker import Assignment, Worker
from tuning.stores import cache, folders, patience
from tuning.stores.store import Away
from tuning.study.trial_folder import newest_checkpoint

RUNGS = (10, 30, 90)
UPLOADED_IN = 120.0  # seconds: longer than one request without an answer takes until it is sent anew
SEEDS = [SPACE.replay(seed.params, CONDITIONS).recipe for seed in SPACE.seeds(CONDITIONS)[:2]]


@pytest.fixture
def worker_on(on_machine, s3_store, monkeypatch):
    """A worker of trial 3 on a machine, from the step that the driver knows of."""
    monkeypatch.setattr(stored_files, "ON_ITS_WAY_SECONDS", 0.0)
    monkeypatch.setattr(stored_files, "FIRST_RETRY", 0.01)

    made = []

    def make(machine: str, reported: int = 0, recipe=SEEDS[0], study_id: str = "first") -> Worker:
        made.append(StoredFiles(s3_store, on_machine(machine), "street", study_id))
        worker = Worker(lambda model, fold: CurveTrainer(DATASET), "detection", files=made[-1])
        worker.begin(Assignment(3, recipe.to_dict(), made[-1].folder(3), RUNGS, reported))
        return worker

    yield make
    for files in made:  # the next test has a store of the same name
        uploaded(files)


def uploaded(files: StoredFiles) -> None:
    """Wait until the store has all that was saved; where a thread hangs is shown."""
    files.finish(UPLOADED_IN)
    if files._queue.unfinished_tasks:
        faulthandler.dump_traceback()
    assert not files._queue.unfinished_tasks


def trained(worker: Worker, until: int) -> list:
    results = [worker.step()]
    while results[-1].step < until and results[-1].kind in ("progress", "rung"):
        results.append(worker.step())
    uploaded(worker._files)
    return results


def test_a_trial_goes_on_elsewhere_from_its_checkpoint_and_the_user_is_told(worker_on, on_machine, s3_store):
    trained(worker_on("machine-1"), 30)
    shutil.rmtree(on_machine("machine-1"))
    results = trained(worker_on("machine-2", reported=30), 90)
    assert results[0].steps[0] == 31
    assert results[0].note.startswith("goes on from step 30 on ")
    keys = {entry.key.split("/")[3].split(".")[0] for entry in s3_store.entries("street/trials/3/checkpoint")}
    assert {entry.key for entry in s3_store.entries("street/trials/3/")} >= {
        "street/trials/3/files.json", "street/trials/3/hardware.json", "street/trials/3/pipeline.config",
        "street/trials/3/checkpoint-90.json",
    }  # fmt: skip
    assert keys == {"checkpoint-90"}, "older ones are deleted"


def test_a_study_that_is_begun_anew_trains_its_trials_though_a_machine_has_those_of_the_deleted_one(
    worker_on, s3_store
):
    trained(worker_on("machine-1"), 90)
    s3_store.delete(entry.key for entry in s3_store.entries(""))
    assert trained(worker_on("machine-1", study_id="second"), 10)[0].steps[0] == 1
    assert worker_on("machine-1", reported=10, study_id="second").step().steps[0] == 11


def test_each_message_tells_what_was_moved_to_the_store_and_from_it(worker_on, on_machine, s3_store):
    results = trained(worker_on("machine-1"), 30)
    kept = folders.read(s3_store, "street/trials/3/checkpoint-30")
    assert results[-1].sent >= kept.size > 0, "its checkpoint is counted with the rung"
    files = [e for e in s3_store.entries("street/trials/3/") if "checkpoint-" not in e.key]
    checkpoints = sum(result.sent for result in results if result.kind == "rung")
    assert sum(result.sent for result in results) - checkpoints <= sum(file.size for file in files)
    assert not any(result.received for result in results)

    results = trained(worker_on("machine-2", reported=30), 90)
    assert [result.received for result in results if result.received] == [kept.size]


def test_a_machine_with_an_older_checkpoint_takes_the_newer_one_of_the_store(worker_on, on_machine):
    trained(worker_on("machine-1"), 10)
    trained(worker_on("machine-2", reported=10), 30)
    assert newest_checkpoint(on_machine("machine-1") / "street/trials/3")[0] == 10
    assert trained(worker_on("machine-1", reported=30), 90)[0].steps[0] == 31


def test_a_checkpoint_that_is_nowhere_costs_its_steps_and_is_said(worker_on):
    first = worker_on("machine-2", reported=30).step()
    assert first.steps[0] == 1
    assert first.note == "its checkpoint of step 30 is gone; it trains again from step 0"


def test_a_damaged_checkpoint_is_said_and_not_used(worker_on, s3_store):
    trained(worker_on("machine-1"), 30)
    kept = folders.read(s3_store, "street/trials/3/checkpoint-30")
    s3_store.write(f"street/trials/3/{kept.folder}/state.json", b'{"step": 29}')
    first = worker_on("machine-2", reported=30).step()
    assert first.steps[0] == 1
    assert "checkpoint-30: state.json is missing or damaged; its checkpoint of step 30 is gone" in first.note


def test_a_checkpoint_of_another_recipe_under_the_same_number_is_not_used(worker_on):
    trained(worker_on("machine-1"), 30)
    for machine in ("machine-1", "machine-2"):
        assert worker_on(machine, recipe=SEEDS[1]).step().steps[0] == 1


def test_training_goes_on_while_the_store_is_away_and_the_checkpoint_comes_later(
    worker_on, s3_store, monkeypatch
):
    worker, real, away = worker_on("machine-1"), folders.upload, [True]

    def upload(*arguments):
        if away[0]:
            raise Away("S3 does not answer")
        return real(*arguments)

    monkeypatch.setattr(folders, "upload", upload)
    while (result := worker.step()).step < 30:
        assert result.kind in ("progress", "rung")
    assert not s3_store.entries("street/trials/3/checkpoint")
    away[0] = False
    uploaded(worker._files)
    assert [
        entry.key for entry in s3_store.entries("street/trials/3/checkpoint") if entry.key.endswith("30.json")
    ]


def test_the_last_rung_is_told_once_the_store_has_its_checkpoint_and_the_others_at_once(
    worker_on, s3_store, monkeypatch
):
    worker, real = worker_on("machine-1"), folders.upload

    def slow(store, key, *more):
        time.sleep(0.5)
        return real(store, key, *more)

    monkeypatch.setattr(folders, "upload", slow)
    there = {}
    while 90 not in there:
        result = worker.step()
        if result.kind == "rung":
            kept = folders.read(s3_store, f"street/trials/3/checkpoint-{result.step}")
            there[result.step] = kept is not None
    assert there == {10: False, 30: False, 90: True}


def test_a_store_that_stays_away_halts_the_search_before_the_last_rung_is_told(worker_on, monkeypatch):
    def away(*_):
        raise Away("S3 does not answer")

    worker = worker_on("machine-1", recipe=SEEDS[0])
    with monkeypatch.context() as patch:
        patch.setattr(folders, "upload", away)
        patch.setattr(stored_files, "AWAY_SECONDS", 0.1)
        results = [worker.step()]
        while results[-1].kind in ("progress", "rung"):
            results.append(worker.step())
    assert [result.step for result in results if result.kind == "rung"] == [10, 30]
    assert results[-1].kind == "halt"
    assert results[-1].reason == (
        "the last checkpoint is not in the store (S3 does not answer); run the same command again later"
    )


def test_a_store_that_goes_away_while_a_checkpoint_is_fetched_costs_the_trial_nothing(
    worker_on, s3_store, monkeypatch
):
    trained(worker_on("machine-1"), 30)
    real, refused = type(s3_store).download, []

    def download(*arguments, **named):
        if len(refused) < 2:
            refused.append(arguments)
            raise Away("S3 does not answer")
        return real(*arguments, **named)

    monkeypatch.setattr(type(s3_store), "download", download)
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0.01)
    results = trained(worker_on("machine-2", reported=30), 90)
    assert results[0].steps[0] == 31
    assert len(refused) == 2


def test_a_store_that_stays_away_halts_the_search_and_fails_no_trial(worker_on, s3_store, monkeypatch):
    def away(*_, **__):
        raise Away("S3 does not answer")

    trained(worker_on("machine-1"), 30)
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(stored_files, "AWAY_SECONDS", 0.05)
    worker = worker_on("machine-2", reported=30)
    with monkeypatch.context() as patch:
        patch.setattr(type(s3_store), "download", away)
        result = worker.step()
    assert (result.kind, result.reason) == ("halt", "S3 does not answer; run the same command again later")

    worker = Worker(away, "detection")
    worker.begin(Assignment(3, SEEDS[0].to_dict(), worker_on("machine-1")._files.folder(3), RUNGS))
    assert worker.step().kind == "halt"


def test_data_are_waited_for_and_then_asked_of_the_user(s3_store, tmp_path, monkeypatch):
    def away(*_, **__):
        raise Away("S3 does not answer")

    monkeypatch.setattr(type(s3_store), "read", away)
    monkeypatch.setattr(patience, "AWAY_SECONDS", 0.05)
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0.01)
    with pytest.raises(UserError, match="S3 does not answer; run the same command again later"):
        folders.obtain(s3_store, "data/abc", tmp_path / "data", "data")


def test_a_machine_whose_disk_is_full_is_left_out_and_its_trial_goes_on_on_another(worker_on, monkeypatch):
    save = CurveTrainer.save

    def full(self, directory):
        if self.step > 10 and "machine-1" in str(directory):
            raise OSError(errno.ENOSPC, "No space left on device", str(directory))
        return save(self, directory)

    monkeypatch.setattr(CurveTrainer, "save", full)
    worker = worker_on("machine-1")
    results = [worker.step()]
    while not worker.unfit:
        results.append(worker.step())
    assert results[-1].kind == "progress"
    assert "is left out until it can be written" in results[-1].note
    assert "checkpoint-30: No space left on device; fix that" in worker.unfit
    worker.keep()  # writes nothing more, and does not raise
    uploaded(worker._files)

    elsewhere = trained(worker_on("machine-2", reported=10), 90)
    assert "goes on from step 10" in elsewhere[0].note
    assert [result.step for result in elsewhere if result.kind == "rung"] == [30, 90]


def test_the_cache_of_a_machine_keeps_its_limit_and_what_is_not_uploaded(tmp_path, monkeypatch):
    made = []
    for number in range(4):
        folder = tmp_path / "copy/street/trials" / str(number) / "checkpoint-30"
        folder.mkdir(parents=True)
        (folder / "variables").write_bytes(bytes(1000))
        made.append(folder)
    for folder in (made[0], made[1], made[3]):
        cache.mark_uploaded(folder)
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "0.0000015")
    assert cache.make_room(tmp_path, keep=made[3].parent) == 2000
    assert [folder.is_dir() for folder in made] == [False, False, True, True]
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "much")
    with pytest.raises(
        UserError, match="DETECTOR_TUNING_STUDIES_CACHE_GB=much: expected a number of gigabytes"
    ):
        cache.make_room(tmp_path, keep=tmp_path)


def test_a_machine_fetches_its_records_once_from_the_store(s3_store, tmp_path):
    driver = tmp_path / "driver"
    driver.mkdir()
    (driver / "a.record").write_bytes(b"train")
    (driver / "b.record").write_bytes(b"validation")
    (driver / "label_map.pbtxt").write_text("item {}")
    dataset = dataclasses.replace(
        DATASET, train=Part((driver / "a.record",), 2), validation=Part((driver / "b.record",), 1)
    )
    stored_data.upload(dataset, s3_store)
    assert stored_data.fetch(dataset, tmp_path, s3_store) is dataset, "where the driver is, they are there"
    shutil.rmtree(driver)
    found = stored_data.fetch(dataset, tmp_path / "machine", s3_store)
    assert [file.read_bytes() for file in (*found.train.files, *found.validation.files)] == [
        b"train",
        b"validation",
    ]
    assert found.label_map.read_text() == "item {}"
    s3_store.delete(entry.key for entry in s3_store.entries("data/"))
    assert stored_data.fetch(dataset, tmp_path / "machine", s3_store) == found
    with pytest.raises(UserError, match="the data are not in the store"):
        stored_data.fetch(dataset, tmp_path / "other", s3_store)
