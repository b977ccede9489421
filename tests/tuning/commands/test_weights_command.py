"""`python -m tuning.weights`: what is published, what is here, and whether it is whole."""

from __future__ import annotations

import json
import shutil

import pytest

from trainers import model as models
from tuning.weights import main


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of its own, with an empty folder in place of the zoo."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DETECTOR_ZOO_URL", str(tmp_path / "mirror"))
    (tmp_path / "mirror").mkdir()
    return tmp_path


def test_the_list_has_every_model_that_was_published_with_weights(machine, capsys):
    assert main(["list", "--format", "json"]) == 0
    rows = {row["model"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {name for name, model in models.all_models().items() if model.published_weights}
    assert not any(row["fetched"] for row in rows.values())
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}: not fetched; from {row['address']}\n" in said for name, row in rows.items())


def test_what_cannot_be_had_is_one_line(machine, capsys):
    assert main(["fetch", "mobilenet"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: file://")
    assert "cannot be downloaded: " in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "mobilenet"], "mobilenet: its weights are not in "),
        (["fetch", "fcn"], "fcn was published without weights: it trains from scratch"),
        (["fetch", "yolo"], "unknown model 'yolo'"),
    ],
)
def test_what_is_wrong_is_one_line(words, message, machine, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_nothing_to_verify_is_no_error(machine, capsys):
    assert main(["verify"]) == 0
    assert capsys.readouterr().out == "none were fetched\n"


@pytest.mark.slow
def test_what_was_fetched_is_listed_and_verified(machine, capsys, tmp_path):
    from zoo_server import ARCHIVE, NAME, sha256_of, write_archive
    from zoo_variables import published_variables

    archive = write_archive(tmp_path / "made.tar.gz", published_variables(NAME))
    shutil.move(archive, machine / "mirror" / f"{ARCHIVE}.tar.gz")
    assert main(["fetch", NAME]) == 0
    folder = machine / "cache" / "detector-tuning" / "zoo" / ARCHIVE
    assert capsys.readouterr().out == f"{NAME}: in {folder}\n"
    assert main(["verify"]) == 0
    assert f"{NAME}: all values are whole" in capsys.readouterr().out
    assert main(["list", NAME, "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["fetched"]
    assert row["sha256"] == sha256_of(machine / "mirror" / f"{ARCHIVE}.tar.gz")
