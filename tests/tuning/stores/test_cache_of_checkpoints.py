"""The cache of checkpoints of a machine, which several workers use at once."""

import shutil
from pathlib import Path

from tuning.stores import cache


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
