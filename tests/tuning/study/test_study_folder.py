from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from curve_trainer import DATASET
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from searches import about, run_here, search_of

from trainers.errors import UserError
from tuning.callbacks.summary import SummaryFile, summary
from tuning.study import manifest, reading
from tuning.study.storage.lock import StudyLock
from tuning.study.study import Study

HOLD = """
import sys
from pathlib import Path
from tuning.study.storage.lock import StudyLock
lock = StudyLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "retinanet"}, "is a study of the space 'mobilenet', not 'retinanet'"),
        ({"space_hash": "xyz"}, "the space 'mobilenet' has changed since it was begun"),
        ({"max_steps": 60}, "was begun with --max-steps 90, now it is 60"),
        ({"image_size": 320}, "was begun with no --image-size, now it is 320"),
        ({"weights": "zoo"}, "was begun with --weights none, now it is zoo"),
        ({"objective": "mAP50"}, "was begun with --objective mAP, now it is mAP50"),
        (
            {"zoo_sha256": {"mobilenet": "b" * 64}},
            f"another archive of mobilenet's COCO weights (SHA-256 {'a' * 64}) than is on this machine ({'b' * 64})",
        ),
        ({"sampler": "random"}, "was begun with --sampler tpe, now it is random"),
        (
            {"data": manifest.of_data(DATASET) | {"source": "photos/", "fingerprint": "f00"}},
            "is a study of other data (formula, not photos/)",
        ),
        (
            {"data": manifest.of_data(DATASET) | {"fingerprint": "f00"}},
            "is a study of other data (an earlier content of formula)",
        ),
        (
            {"data": manifest.of_data(DATASET, group_by="^(.*)_") | {"fingerprint": "f00"}},
            "is a study of other data (read with no --group-by, not with --group-by ^(.*)_)",
        ),
    ],
)
def test_a_study_name_in_use_by_something_else_is_refused_in_one_line(open_study, changes, message):
    open_study(zoo_sha256={"mobilenet": "a" * 64})
    with pytest.raises(UserError) as refused:
        open_study(**changes)
    assert message in str(refused.value)
    assert "give another --study name" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_other_workers_seed_or_versions_are_no_other_study(open_study):
    open_study()
    assert open_study(seed=7, versions={"python": "3.13.0"}).manifest.seed == 1


def test_the_archives_of_its_weights_are_recorded_once_they_are_known(open_study):
    open_study()
    assert open_study(zoo_sha256={"mobilenet": "a" * 64}).manifest.zoo_sha256 == {"mobilenet": "a" * 64}
    assert open_study().manifest.zoo_sha256 == {"mobilenet": "a" * 64}


def test_a_second_driver_is_refused_and_told_who_holds_the_study(open_study, tmp_path):
    folder = open_study().folder
    open_study("another")
    root = Path(__file__).parents[3]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder / "lock")],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"in use by process {holder.pid} on .* since 20"):
        Study.open(folder, about())
    holder.kill()
    holder.communicate()
    Study.open(folder, about()).close()


def test_a_lock_that_is_let_go_is_free_though_a_process_that_was_just_started_has_its_file(tmp_path):
    lock = StudyLock(tmp_path / "lock")
    lock.acquire()
    inherited = os.dup(lock._descriptor)
    lock.release()
    again = StudyLock(tmp_path / "lock")
    again.acquire()
    again.release()
    os.close(inherited)


def test_a_folder_that_is_no_study_is_left_alone(tmp_path):
    (tmp_path / "street").mkdir()
    (tmp_path / "street" / "thesis.tex").touch()
    with pytest.raises(UserError, match="exists and is not a study"):
        Study.open(tmp_path / "street", about())
    assert [entry.name for entry in (tmp_path / "street").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("written", ["lock", "trials", ".study.json.x7f", "study.json", "optuna.journal"])
def test_a_driver_killed_while_it_makes_the_folder_leaves_what_the_next_one_begins_anew(tmp_path, written):
    """The files up to `written`, in the order in which they are made; earlier versions made the journal first."""
    Study.open(tmp_path / "whole", about(objective="validation_loss/total")).close()
    folder = tmp_path / "street"
    folder.mkdir()
    for name in ("lock", "trials", ".study.json.x7f"):
        (folder / name).mkdir() if name == "trials" else (folder / name).touch()
        if name == written:
            break
    if written in ("study.json", "optuna.journal"):
        shutil.copy(tmp_path / "whole" / written, folder / written)
    objective = "validation_loss/total" if written == "study.json" else "mAP"
    study = Study.open(folder, about(objective=objective))
    run_here(search_of(study, 1))
    study.close()
    assert len(reading.read("street", tmp_path).records) == 1


def test_a_study_whose_manifest_is_lost_is_said_and_left_alone(open_study, tmp_path):
    study = open_study()
    run_here(search_of(study, 1))
    study.close()
    (study.folder / "study.json").unlink()
    with pytest.raises(UserError, match=r"its study\.json is missing; restore it from your backup"):
        Study.open(study.folder, about())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_access_is_one_line(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(UserError, match="cannot be written: Permission denied"):
        Study.open(tmp_path / "locked" / "street", about())


def test_a_study_cannot_be_made_inside_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        Study.open(tmp_path / "file" / "street", about())


def test_a_half_written_last_line_is_cut_off_and_kept_aside(open_study):
    study = open_study()
    run_here(search_of(study, 3))
    before = [record.recipe_id for record in study.records()]
    study.close()
    journal = study.folder / "optuna.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker_id": "kil')

    study = open_study()
    assert [record.recipe_id for record in study.records()] == before
    run_here(search_of(study, 5))
    assert len(open_study().records()) == 5
    assert journal.with_name("optuna.journal.cut").read_bytes() == b'{"op_code": 4, "worker_id": "kil\n'
    for line in journal.read_bytes().splitlines():
        json.loads(line)


def test_a_damaged_line_in_the_middle_is_said_and_nothing_is_changed(open_study):
    study = open_study()
    run_here(search_of(study, 3))
    study.close()
    journal = study.folder / "optuna.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[7] = lines[7][: len(lines[7]) // 2] + b"\n"
    journal.write_bytes(b"".join(lines))
    with pytest.raises(UserError, match=r"optuna\.journal: line 8 is damaged"):
        open_study()
    assert journal.read_bytes() == b"".join(lines)


def test_a_damaged_manifest_is_said(open_study):
    folder = open_study().folder
    (folder / "study.json").write_text("{")
    with pytest.raises(UserError, match=r"study\.json: is damaged"):
        open_study()


def test_optunas_own_reader_reads_the_journal(open_study):
    study = open_study()
    run_here(search_of(study, 4))
    storage = JournalStorage(JournalFileBackend(str(study.folder / "optuna.journal")))
    theirs = optuna.load_study(study_name="street", storage=storage)
    assert theirs.best_value == max(record.value for record in study.records() if record.state == "completed")


def test_the_summary_has_its_documented_fields_and_each_verdict(open_study):
    study = open_study()
    search = search_of(study, 6)
    run_here(search)
    search = search_of(study, 7)
    search.propose()
    search.interrupt()
    SummaryFile(study).write()
    written = json.loads((study.folder / "summary.json").read_text())
    assert list(written) == [
        "study", "space", "data", "objective", "best", "trials", "wall_seconds", "versions",
    ]  # fmt: skip
    assert written["objective"] == {"name": "mAP", "direction": "maximize"}
    assert {trial["state"] for trial in written["trials"]} == {"completed", "pruned", "interrupted"}
    for trial in written["trials"]:
        assert list(trial) == [
            "trial",
            "state",
            "reason",
            "recipe_id",
            "recipe",
            "rungs",
            "seconds_training",
            "seconds_overhead",
        ]
        assert all(list(rung) == ["step", "value", "mAP", "seconds"] for rung in trial["rungs"])
        assert all(rung["value"] == rung["mAP"] for rung in trial["rungs"])
    finished = [trial for trial in written["trials"] if trial["state"] == "completed"]
    best = max(finished, key=lambda trial: trial["rungs"][-1]["mAP"])
    assert written["best"] == {
        "trial": best["trial"],
        "value": best["rungs"][-1]["mAP"],
        "mAP": best["rungs"][-1]["mAP"],
        "recipe_id": best["recipe_id"],
    }


def test_a_study_without_a_trial_has_a_summary_too(open_study):
    assert summary(open_study())["best"] is None


def test_wall_seconds_grow_over_the_runs_of_a_study(open_study):
    study = open_study()
    run_here(search_of(study, 1))
    first = study.wall_seconds
    assert open_study().wall_seconds > first > 0
