"""What a person can get wrong on the command line: one line and exit code 2."""

from pathlib import Path

import pytest
from labelled_folders import voc_folder

from trainers.datasets.__main__ import main


def test_a_source_that_is_not_there_ends_with_2(tmp_path, capsys):
    for command in (["check"], ["describe", "--cache", str(tmp_path)], ["convert"]):
        after = [str(tmp_path / "out")] if command == ["convert"] else []
        assert main([command[0], str(tmp_path / "nowhere"), *after, *command[1:]]) == 2
        assert "no such file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["train"], "invalid choice: 'train'"),
        (["check"], "the following arguments are required: SRC"),
        (
            ["check", "toy-city"],
            "toy-city: generated together with its labels; there is nothing to check",
        ),
        (["check", "s3://"], "expected a bucket and a prefix"),
        (["check", "{empty}"], "the folder is empty; supported are"),
        (["describe", "{pets}", "--html", "{pets}"], "expected a file name in an existing folder"),
        (["describe", "{pets}", "--html", "{pets}/no/page.html"], "expected a file name"),
        (["describe", "{pets}", "--cache", "{pets}/images/0.jpg"], "cannot be written"),
        (["convert", "{pets}"], "the following arguments are required: DST"),
        (["convert", "{pets}", "{out}", "--to", "voc"], "unknown format 'voc'; choose from"),
        (["convert", "{pets}", "{out}", "--subset", "0"], "subset '0': expected a share"),
        (["convert", "{pets}", "{pets}/images/0.jpg/out"], "cannot be written"),
        (["convert", "{pets}", "{out}", "--to", "waymo"], "Waymo's exports have no class 'cat'"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2_and_nothing_is_written(words, said, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    places = {"pets": voc_folder(tmp_path / "pets", 4), "empty": tmp_path / "empty", "out": tmp_path / "out"}
    before = sorted(tmp_path.rglob("*"))
    try:
        code = main([word.format(**places) for word in words])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    lines = [
        line for line in capsys.readouterr().err.splitlines() if not line.startswith(("converted", "reading"))
    ]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="needs a folder that takes no file: Linux's /proc"
)
def test_a_folder_in_which_nothing_can_be_made_is_not_waited_for(tmp_path, capsys):
    assert main(["convert", str(voc_folder(tmp_path / "pets", 4)), "/proc/pets-of-a-test"]) == 2
    assert "cannot be written" in capsys.readouterr().err
