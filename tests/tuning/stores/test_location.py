from __future__ import annotations

from pathlib import Path

import pytest

import tuning
from trainers.errors import UserError
from tuning.run import main
from tuning.stores import location


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(location.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("given", ["studies", "/data/studies", "../there", Path("a:b/c"), "what:ever"])
def test_a_folder_is_that_folder(given):
    assert location.studies_folder(given) == Path(given)
    assert location.store_uri(Path(given)) is None


@pytest.mark.parametrize(
    "given", ["s3://bucket/a/prefix", "s3://bucket/a/prefix/", Path("s3://bucket/a/prefix")]
)
def test_a_prefix_in_s3_has_one_working_copy_on_this_machine(given, tmp_path):
    folder = location.studies_folder(given)
    assert folder.is_relative_to(tmp_path / "cache")
    assert location.store_uri(folder) == "s3://bucket/a/prefix"
    assert location.studies_folder("s3://bucket/a/prefix") == folder
    assert location.studies_folder("s3://bucket/a/other") != folder


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gs://bucket/x", "gs://bucket/x: studies cannot be kept there; give a folder, or s3://bucket/prefix"),
        ("hdfs://n/x", "hdfs://n/x: studies cannot be kept there; give a folder, or s3://bucket/prefix"),
        ("file:///tmp/x", "file:///tmp/x: give the folder itself, without file:"),
        ("s3://", "s3://: names no bucket; give s3://bucket/prefix"),
        ("s3:///x/../y", "s3:///x/../y: is not a plain prefix; give s3://bucket/prefix"),
    ],
)  # fmt: skip
def test_what_is_neither_is_refused_and_leaves_no_folder_of_that_name(given, said, tmp_path, capsys):
    with pytest.raises(UserError) as error:
        location.studies_folder(given)
    assert str(error.value) == said
    with pytest.raises(SystemExit) as ended:
        main(["--space", "mobilenet", "--studies-dir", given])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: argument --studies-dir: {said}; see --help\n"
    with pytest.raises(UserError):
        tuning.search("mobilenet", studies_dir=given)
    assert not list(tmp_path.iterdir())
