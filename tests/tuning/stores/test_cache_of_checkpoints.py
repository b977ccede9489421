"""The cache of checkpoints of a machine, which several workers use at once."""

import shutil
from pathlib import Path

from searches import about, run_here, search_of

from tuning.callbacks.retention import Retention
from tuning.stores import cache
from tuning.study.study import Study


def test_a_checkpoint_that_another_worker_deletes_meanwhile_is_left_out(tmp_path, monkeypatch):
    trials = tmp_path / "copy" / "street" / "trials"
    for number in (0, 1):
        (trials / str(number) / "checkpoint-30").mkdir(parents=True)
        (trials / str(number) / "checkpoint-30" / "state").write_bytes(b"x" * 1000)
        cache.mark_uploaded(trials / str(number) / "checkpoint-30")
    real = Path.stat

    def stat(self: Path, **named: bool):
        found = real(self, **named)
        if self.name == "state" and self.parents[1].name == "1":
            shutil.rmtree(self.parents[1], ignore_errors=True)
            return real(self, **named)
        return found

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "0")
    assert cache.make_room(tmp_path, keep=tmp_path) == 1000
    assert not (trials / "0" / "checkpoint-30").exists()


def test_a_checkpoint_that_a_worker_deletes_meanwhile_does_not_end_the_search(tmp_path, monkeypatch):
    study = Study.open(tmp_path / "street", about(), durable=False)
    search = search_of(study, 1)
    run_here(search, None)
    checkpoint = study.trial_folder(0) / "checkpoint-90"
    checkpoint.mkdir()
    real = shutil.rmtree

    def rmtree(folder: Path, **named: bool):
        real(folder)  # by the worker
        real(folder, **named)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    Retention(study, 0)
    study.close()
    assert not checkpoint.exists()
