"""`python -m tuning.select` refuses wrong input in one line and with exit code 2, before any detector is loaded."""

from __future__ import annotations

import pytest

from tuning.select import main

POOL = ["--pool", "POOL", "--count", "2", "--out", "OUT"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "OUT"], "STUDY or EXPORT is missing; see --help"),
        (["street", "--out", "OUT", "--count", "2"], "--pool is missing; see --help"),
        (["street", *POOL, "--strategy", "best"], "unknown strategy 'best'; known are random, entropy, "),
        (["street", *POOL, "--count", "0"], "--count must be at least 1, and --frame-gap at least 0"),
        (["street", *POOL, "--threshold", "2"], "--threshold must be between 0 and 1, not 2"),
        (
            ["street", *POOL, "--strategy", "disagreement"],
            "--strategy disagreement needs a second detector: --other",
        ),
        (["street", *POOL, "--other", "two"], "--strategy entropy takes no --other"),
        (
            ["street", "--pool", "NOWHERE", "--count", "2", "--out", "OUT"],
            "NOWHERE: no such folder; --pool takes",
        ),
        (["nothing", *POOL], "nothing: no such study in "),
        (["--merge", "LABELS", "--out", "OUT"], "--merge needs --manifest; see --help"),
        (["--merge", "LABELS", "--manifest", "POOL", "--out", "OUT"], "--merge needs --data; see --help"),
        (
            ["--merge", "LABELS", "--manifest", "POOL", "--data", "DATA", "--out", "OUT"],
            "selection.json: no such file; give the folder that `python -m tuning.select` wrote",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(words, says, tmp_path, capsys):
    (tmp_path / "POOL").mkdir()
    places = {"POOL", "OUT", "NOWHERE", "LABELS"}
    words = [str(tmp_path / word) if word in places else word for word in words]
    assert main([*words, "--studies-dir", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("error: ")
    assert says in said
    assert sorted(each.name for each in tmp_path.iterdir()) == ["POOL"]


def test_an_existing_folder_is_not_written_over(tmp_path, capsys):
    assert main(["street", "--pool", str(tmp_path), "--count", "1", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path} already exists; choose a new folder\n"
