"""The database of a deployment: made once, by whoever prepares the folder, and stamped."""

from __future__ import annotations

import sqlite3

import pytest

from serve.deployment.database import FILE, Database, on_network
from serve.deployment.replica import Replica
from serve.deployment.settings import Settings
from serve.jobs.queue import JobQueue
from serve.run import main
from trainers.errors import UserError


def test_a_process_with_a_folder_that_is_not_prepared_does_not_start(tmp_path):
    with pytest.raises(UserError, match="not prepared; run `python -m serve"):
        Replica(Settings(data=tmp_path / "elsewhere"))
    assert not (tmp_path / "elsewhere").exists(), "no empty record was made"


def test_an_empty_folder_stays_empty_without_a_model(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--prepare"]) == 2
    assert "contains no model yet; give --study" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_process_with_the_folder_of_another_deployment_does_not_start(tmp_path):
    one, other = (Database(tmp_path / name, create=True).deployment for name in "ab")
    assert one != other
    assert Database(tmp_path / "a", deployment=one).deployment == one
    with pytest.raises(UserError, match="another deployment"):
        Database(tmp_path / "a", deployment=other)


@pytest.mark.parametrize(
    ("kind", "network"),
    [("ext4", False), ("overlay", False), ("nfs4", True), ("cifs", True), ("fuse.sshfs", True)],
)
def test_a_file_system_that_machines_share_is_recognised(kind, network, tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"none / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n")
    assert on_network(tmp_path / "data", mounts) == network


@pytest.mark.parametrize(("network", "mode"), [(False, "wal"), (True, "delete")])
def test_a_write_ahead_log_is_used_on_local_disks_only(network, mode, tmp_path, monkeypatch):
    from serve.deployment import database

    monkeypatch.setattr(database, "on_network", lambda folder: network)
    Database(tmp_path, create=True)
    with Database(tmp_path).reading() as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == mode


def test_a_database_of_an_earlier_version_gains_what_it_lacks(tmp_path):
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute(
            "CREATE TABLE jobs (id TEXT PRIMARY KEY, state TEXT NOT NULL, name TEXT, source TEXT, options TEXT, "
            "facts TEXT, model TEXT, created REAL, started REAL, ended REAL, frames INTEGER, total INTEGER, "
            "objects INTEGER, damaged INTEGER, frames_per_second REAL, seconds_left REAL, error TEXT, "
            "attempts INTEGER, segments INTEGER, bytes INTEGER, key TEXT UNIQUE, digest TEXT)"
        )
        db.execute(
            "INSERT INTO jobs VALUES ('a', 'queued', 'clip', 'upload', '{}', NULL, 'm', 1, NULL, NULL, 0, 0, 0, 0, "
            "NULL, NULL, NULL, 0, 0, 0, NULL, NULL)"
        )
    (job,) = JobQueue(Database(tmp_path)).due()
    assert (job.id, job.faults, job.not_before) == ("a", 0, 0.0)
