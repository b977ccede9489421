"""A study in S3 is the same from every machine: it goes on where another one was lost, and nothing is told twice."""

from __future__ import annotations

import shutil

import pytest
from searches import about, run_here, search_of

from tuning.search.callback import Callback
from tuning.stores import folders, patience
from tuning.stores.store import Away
from tuning.study import reading
from tuning.study.storage import stored
from tuning.study.storage.working_copy import fetch_trial, push_folder
from tuning.study.study import Study


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    from tuning.stores import lease

    monkeypatch.setattr(stored, "PUSH_SECONDS", 0.02)
    monkeypatch.setattr(stored, "SHARE", 1.0)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(lease, "EXPIRES", 0.1)


class Checkpoints(Callback):
    """Writes one at each rung, as a worker does, which has it uploaded."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def reached(self, record, rung) -> None:
        name = f"checkpoint-{rung.step}"
        folder = self._study.trial_folder(record.number) / name
        folder.mkdir()
        (folder / "state.json").write_text(f'{{"step": {rung.step}}}')
        self._study.stored.push_folder(record.number, name, record.recipe_id)


def searched(studies, trials: int, steps: int | None = None) -> Study:
    study = Study.open(studies / "street", about(), durable=False)
    search = search_of(study, trials, (Checkpoints(study),))
    run_here(search, steps)
    if steps is None:
        search.interrupt()
    return study


def states(records) -> list[tuple]:
    return [(r.number, r.state, r.recipe_id, [rung.step for rung in r.rungs]) for r in records]


@pytest.mark.slow
def test_a_search_is_extended_on_another_machine(on_machine):
    first = searched(on_machine("machine-1"), 3)
    before = states(first.records())
    first.close()
    shutil.rmtree(on_machine("machine-1"))
    second = searched(on_machine("machine-2"), 5)
    assert states(second.records())[:3] == before
    assert len(second.records()) == 5
    second.close()
    assert states(reading.read("street", on_machine("machine-3")).records)[:3] == before


@pytest.mark.slow
def test_a_search_whose_machine_is_lost_goes_on_elsewhere(on_machine, s3_store):
    lost = searched(on_machine("machine-1"), 3, steps=4)
    number = lost.trials()[-1].number
    lost.stored._over.set()  # the machine is gone: nothing is uploaded any more, and nothing is released
    lost.stored._thread.join()
    lost.stored._push(everything=True)
    lost.stored._lease._fields |= {"machine": "another", "pid": 1}
    lost.stored._lease.renew()
    after_loss = len(lost.trials())
    shutil.rmtree(on_machine("machine-1"))

    again = Study.open(on_machine("machine-2") / "street", about(), durable=False)
    assert len(again.records()) == after_loss
    assert again.records()[number].state == "interrupted"
    assert again.manifest.id == lost.manifest.id
    assert again.saved_step(0) > 0
    again.stored.fetch_trial(0)
    step = again.record(0).step
    assert (again.trial_folder(0) / f"checkpoint-{step}" / "state.json").read_text() == f'{{"step": {step}}}'
    again.close()


def test_what_the_store_has_of_a_trial_that_the_journal_does_not_know_is_deleted(on_machine, s3_store):
    study = searched(on_machine("machine-1"), 2)
    study.close()
    s3_store.write("street/trials/2/recipe.yaml", b"of a trial that nobody was told of")
    study = Study.open(on_machine("machine-2") / "street", about(), durable=False)
    assert s3_store.entries("street/trials/2/") == []
    assert s3_store.entries("street/trials/1/")
    study.close()


@pytest.mark.slow
def test_a_driver_that_has_lost_its_lease_ends_before_it_writes_again(on_machine, monkeypatch):
    left = []
    first = searched(on_machine("machine-1"), 2)
    monkeypatch.setattr(stored, "_leave", lambda uri: (left.append(uri), first.stored._over.set()))
    first.stored._lease._fields["machine"] = "another"
    first.stored._lease.renew()
    monkeypatch.setattr(
        first.stored._lease, "renew", lambda: None
    )  # it is cut off from the lease's object only
    second = Study.open(on_machine("machine-2") / "street", about(), durable=False)
    first.set_attribute("late", 1)
    first.stored._thread.join(60)
    assert left == ["s3://studies/here"]
    second.close()
    third = Study.open(on_machine("machine-3") / "street", about(), durable=False)
    assert third.attribute("late") is None
    third.close()


def test_retention_deletes_checkpoints_in_the_store(on_machine, s3_store):
    from tuning.callbacks.retention import Retention

    study = searched(on_machine("machine-1"), 4)
    Retention(study, 1)
    study.close()
    kept = {
        entry.key.split("/")[2] for entry in s3_store.entries("street/trials/") if "checkpoint-" in entry.key
    }
    assert len(kept) == 1


@pytest.mark.slow
def test_a_driver_that_was_killed_goes_on_on_its_own_machine_with_what_it_had_not_uploaded(on_machine):
    killed = searched(on_machine("machine-1"), 2)
    killed.stored._over.set()
    killed.stored._thread.join()
    killed.set_attribute("late", 1)
    killed._lock.release()  # the kernel does
    again = Study.open(on_machine("machine-1") / "street", about(), durable=False)
    assert again.attribute("late") == 1
    again.close()
    elsewhere = Study.open(on_machine("machine-2") / "street", about(), durable=False)
    assert elsewhere.attribute("late") == 1
    elsewhere.close()


def test_a_driver_whose_upload_of_the_journal_was_not_answered_goes_on(on_machine, monkeypatch):
    study = Study.open(on_machine("machine-1") / "street", about(), durable=False)
    stored_study = study.stored
    stored_study._over.set()
    stored_study._thread.join()
    study.set_attribute("first", 1)
    real, lost = type(stored_study.store).write, []

    def write(store, *arguments):
        tag = real(store, *arguments)
        if len(lost) < 1:
            lost.append(tag)
            raise Away("S3 does not answer")
        return tag

    monkeypatch.setattr(type(stored_study.store), "write", write)
    monkeypatch.setattr(stored, "_leave", lambda uri: pytest.fail("the driver ended"))
    with pytest.raises(Away):
        stored_study._push_journal()
    study.set_attribute("second", 2)
    stored_study._push_journal()
    study.close()
    again = Study.open(on_machine("machine-2") / "street", about(), durable=False)
    assert (again.attribute("first"), again.attribute("second")) == (1, 2)
    again.close()


def test_a_search_waits_for_the_store_when_a_trial_begins_from_a_checkpoint(on_machine, monkeypatch):
    study = Study.open(on_machine("machine-1") / "street", about(), durable=False)
    (study.trial_folder(0) / "checkpoint-30").mkdir(parents=True)
    (study.trial_folder(0) / "checkpoint-30" / "state.json").write_text("30")
    real, refused = folders.upload, []

    def upload(*arguments):
        if len(refused) < 2:
            refused.append(arguments)
            raise Away("S3 does not answer")
        return real(*arguments)

    monkeypatch.setattr(folders, "upload", upload)
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0.01)
    study.stored.push_folder(0, "checkpoint-30", "ab")
    assert study.stored.has_checkpoint(0)
    assert len(refused) == 2
    study.close()


def test_an_export_that_was_changed_is_the_one_that_other_machines_have(on_machine):
    def trial_on(machine: str):
        folder = on_machine(machine) / "street" / "trials" / "3"
        fetch_trial(folder)
        return folder

    first = trial_on("machine-1") / "export"
    first.mkdir(parents=True)
    (first / "manifest.json").write_text('{"threshold": 0.5}')
    push_folder(first.parent, "export", missing=True)
    second = trial_on("machine-2") / "export"
    (second / "manifest.json").write_text('{"threshold": 0.7}')
    push_folder(second.parent, "export", missing=True)  # does nothing
    assert (trial_on("machine-1") / "export/manifest.json").read_text() == '{"threshold": 0.5}'
    on_machine("machine-2")
    push_folder(second.parent, "export")
    assert (trial_on("machine-1") / "export/manifest.json").read_text() == '{"threshold": 0.7}'
    assert (trial_on("machine-2") / "export/manifest.json").read_text() == '{"threshold": 0.7}'


def test_checkpoints_between_two_rungs_in_the_store_are_seen_when_a_worker_is_lost(on_machine, s3_store):
    from tuning.execution.machines.at_once import AtOnce
    from tuning.execution.ray_scheduler import StudyScheduler

    study = Study.open(on_machine("machine-1") / "street", about(), durable=False)
    search = search_of(study, 2)
    number = search.propose().number
    scheduler = StudyScheduler(search, AtOnce(lambda: 1))
    seen = [scheduler._saved_step(number)]
    for step in (12, 17):
        s3_store.write(f"street/trials/{number}/checkpoint-{step}.json", b"{}")
        seen.append(scheduler._saved_step(number))
    assert seen == [0, 12, 17]
    study.close()
