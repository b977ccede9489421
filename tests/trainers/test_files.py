"""What is written is whole, or was never there."""

from __future__ import annotations

import pytest

from trainers.files import replace_folder, write_text


def test_text_replaces_a_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "summary.json"
    write_text(path, "one")
    write_text(path, "zwei ü")
    assert path.read_text(encoding="utf-8") == "zwei ü"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole_and_replaces_the_one_before(tmp_path):
    target = tmp_path / "deep" / "checkpoint"
    for text in ("first", "second"):
        with replace_folder(target) as folder:
            (folder / "inner").mkdir()
            (folder / "inner" / "file").write_text(text)
    assert (target / "inner" / "file").read_text() == "second"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_could_not_be_filled_leaves_the_one_before(tmp_path):
    target = tmp_path / "checkpoint"
    with replace_folder(target) as folder:
        (folder / "file").write_text("good")

    def fill_and_fail() -> None:
        with replace_folder(target) as folder:
            (folder / "file").write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill_and_fail()
    assert (target / "file").read_text() == "good"
    assert list(tmp_path.iterdir()) == [target]
