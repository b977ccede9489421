"""A study that was deleted in S3 and begun anew: no machine takes what it still has of the first for the second's."""

from __future__ import annotations

import pytest
from searches import about, run_here, search_of

from trainers.errors import UserError
from tuning.stores.small_files import INDEX
from tuning.study import reading
from tuning.study.storage.keys import STUDY_ID
from tuning.study.study import Study


def searched(studies, trials: int) -> Study:
    study = Study.open(studies / "street", about(), durable=False)
    search = search_of(study, trials)
    run_here(search, None)
    search.interrupt()
    return study


@pytest.fixture
def begun_anew(on_machine, s3_store):
    """The id of the second study, which machine-2 has begun after machine-1 and machine-2 had the first one."""
    first = searched(on_machine("machine-1"), 3)
    checkpoint = first.trial_folder(0) / "checkpoint-90"
    checkpoint.mkdir()
    (checkpoint / "state.json").write_text("of the first study")
    first.close()
    s3_store.delete(entry.key for entry in s3_store.entries(""))
    second = searched(on_machine("machine-2"), 1)
    second.close()
    return second.manifest.id


def test_its_first_driver_goes_on_with_the_second_one_and_does_not_upload_the_first(begun_anew, on_machine):
    again = Study.open(on_machine("machine-1") / "street", about(), durable=False)
    assert again.manifest.id == begun_anew
    assert len(again.records()) == 1
    assert not (again.trial_folder(0) / "checkpoint-90").exists()
    again.close()
    assert len(reading.read("street", on_machine("machine-2")).records) == 1


def test_the_second_one_is_read_and_its_trials_are_not_given_the_checkpoints_of_the_first(
    begun_anew, on_machine
):
    study = reading.read("street", on_machine("machine-1"))
    assert study.manifest.id == begun_anew
    assert len(study.records) == 1
    assert not (study.folder / "trials" / "0" / "checkpoint-90").exists()


def test_a_study_that_is_gone_from_the_store_is_not_taken_from_this_machine_s_copy(on_machine, s3_store):
    searched(on_machine("machine-1"), 1).close()
    s3_store.delete(entry.key for entry in s3_store.entries(""))
    for attempt in (
        lambda: Study.open(on_machine("machine-1") / "street", about(), durable=False),
        lambda: reading.read("street", on_machine("machine-1")),
    ):
        with pytest.raises(
            UserError, match=r"street: was deleted there; to begin it anew, delete .*street too"
        ):
            attempt()
    assert s3_store.entries("street/") == []


def test_trials_that_workers_of_the_second_one_train_here_stay(begun_anew, on_machine):
    trial = on_machine("machine-1") / "street" / "trials" / "7" / "checkpoint-20"
    trial.mkdir(parents=True)
    (trial.parent / STUDY_ID).write_text(begun_anew)
    assert reading.read("street", on_machine("machine-1")).manifest.id == begun_anew
    assert trial.is_dir(), "its checkpoint may not be uploaded yet"


def test_a_study_that_was_never_uploaded_is_not_deleted_for_another_of_its_name(on_machine, s3_store):
    searched(on_machine("machine-1"), 3).close()
    folder = on_machine("machine-1") / "street"
    (folder / INDEX).unlink()  # as after a search that the store was away for, but for its lease
    s3_store.delete(entry.key for entry in s3_store.entries("") if not entry.key.endswith("lease.json"))
    searched(on_machine("machine-2"), 1).close()
    before = (folder / "optuna.journal").read_bytes()
    for attempt in (
        lambda: Study.open(folder, about(), durable=False),
        lambda: reading.read("street", on_machine("machine-1")),
    ):
        with pytest.raises(
            UserError, match=r"is another study than the one in .*street, which may not be uploaded"
        ):
            attempt()
    assert (folder / "optuna.journal").read_bytes() == before
