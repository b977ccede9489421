"""The Python API: `load`, `check`, `describe` and `convert` as a notebook calls them."""

import dataclasses

import numpy as np
import pytest
from labelled_folders import picture, voc, voc_folder

from trainers import datasets
from trainers.datasets.label_map import write_label_map
from trainers.datasets.opening import open_dataset
from trainers.errors import UserError


def test_load_returns_the_dataset_that_a_search_opens(tmp_path):
    source, said = voc_folder(tmp_path / "pets"), []
    loaded = datasets.load(source, tmp_path / "cache", subset=0.25, on_progress=said.append)
    assert isinstance(loaded, datasets.Dataset)
    assert loaded == open_dataset(str(source), tmp_path / "cache", subset=0.25)
    assert (loaded.train.images, loaded.validation.images, loaded.classes) == (8, 8, ("cat", "dog"))
    assert said[0] == f"reading {source} as Pascal VOC XML"


def test_load_keeps_its_files_where_a_search_looks_for_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = datasets.load(voc_folder(tmp_path / "pets", 4), subset=np.float32(1.0))
    assert loaded.train.files[0].is_relative_to("studies/data")


def test_load_generates_a_toy_city_by_its_name(tmp_path):
    loaded = datasets.load("toy-city:train_images=4,validation_images=2", str(tmp_path))
    assert (loaded.train.images, loaded.validation.images) == (4, 2)


def test_describe_takes_a_source_or_a_dataset(tmp_path):
    source = voc_folder(tmp_path / "pets", 8)
    voc(source, 8, ("cat", 4, 8, 40, 60), data=picture(1))
    loaded = datasets.load(source, tmp_path / "cache")
    described = datasets.describe(loaded)
    assert described == datasets.describe(source, tmp_path / "cache")
    assert sum(part.images for part in described.parts.values()) == 9
    assert described.duplicates == 1
    assert "duplicate images within a part: 1" in described.warnings()


def test_check_returns_every_problem_and_whether_training_would_accept_the_source(tmp_path):
    source = voc_folder(tmp_path / "pets", 40)
    assert datasets.check(source).error is None
    voc(source, 3, ("cat", 4, 80, 40, 90))
    report = datasets.check(source)
    assert [(problem.kind, problem.image) for problem in report.problems] == [
        ("box outside the image", "images/3.jpg")
    ]
    assert (report.images, report.affected, report.counts) == (40, 1, {"box outside the image": 1})
    report.raise_if_unusable()
    write_label_map(source / "map.pbtxt", ["dog"])
    report = datasets.check(source)
    assert report.counts["unknown label"] == 20
    with pytest.raises(UserError, match=r"label 'cat' is not in map\.pbtxt") as error:
        report.raise_if_unusable()
    assert str(error.value) == report.error


def test_check_hands_problems_to_a_function_and_does_not_collect_them(tmp_path):
    source, heard = voc_folder(tmp_path / "pets", 40), []
    voc(source, 3, ("cat", 4, 80, 40, 90))
    report = datasets.check(source, on_problem=heard.append)
    assert (len(heard), report.problems, report.affected) == (1, (), 1)


def test_convert_writes_a_folder_that_loads_as_the_same_dataset(tmp_path):
    source = voc_folder(tmp_path / "pets", 20)
    loaded = datasets.load(source, tmp_path / "cache")
    for to in ("tfrecord", "coco"):
        done = datasets.convert(source, to, tmp_path / to)
        assert done == datasets.Conversion(
            tmp_path / to, {"train": 16, "validation": 4}, loaded.classes, loaded.fingerprint, loaded.notes
        )
        assert datasets.load(done.folder, tmp_path / "cache").fingerprint == loaded.fingerprint


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("load", {"source": 3}, "source: expected a path, s3://bucket/prefix or toy-city, got 3 (int)"),
        (
            "load",
            {"source": b"pets"},
            "source: expected a path, s3://bucket/prefix or toy-city, got b'pets' (bytes)",
        ),
        ("load", {"source": ""}, "source: expected a path, s3://bucket/prefix or toy-city, got '' (str)"),
        ("load", {"cache": None}, "cache: expected the path of a folder, got None (NoneType)"),
        ("load", {"subset": "10%"}, "subset: expected a number above 0 and at most 1, got '10%' (str)"),
        ("load", {"subset": 0}, "subset: expected a number above 0 and at most 1, got 0 (int)"),
        (
            "load",
            {"subset": float("nan")},
            "subset: expected a number above 0 and at most 1, got nan (float)",
        ),
        ("load", {"subset": True}, "subset: expected a number above 0 and at most 1, got True (bool)"),
        ("load", {"on_progress": "print"}, "on_progress: expected a function or None, got 'print' (str)"),
        ("describe", {"source": ["a", "b"]}, "source: expected a path"),
        ("describe", {"on_progress": 1}, "on_progress: expected a function or None, got 1 (int)"),
        (
            "check",
            {"source": None},
            "source: expected a path, s3://bucket/prefix or toy-city, got None (NoneType)",
        ),
        (
            "check",
            {"source": "pets", "on_problem": 1},
            "on_problem: expected a function or None, got 1 (int)",
        ),
        (
            "check",
            {"source": "toy-city"},
            "toy-city: generated together with its labels; there is nothing to check",
        ),
        ("convert", {"source": None, "to": "coco", "out": "out"}, "source: expected a path"),
        ("convert", {"source": "pets", "to": 1, "out": "out"}, "to: expected a string, got 1 (int)"),
        (
            "convert",
            {"source": "pets", "to": "voc", "out": "out"},
            "unknown format 'voc'; choose from dataset_yaml,",
        ),
        (
            "convert",
            {"source": "pets", "to": "coco", "out": None},
            "out: expected the path of a folder, got None",
        ),
        ("convert", {"source": "pets", "to": "coco", "out": "."}, ". already exists; choose a new folder"),
    ],
)
def test_a_wrong_argument_is_one_line_and_nothing_is_written(name, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        getattr(datasets, name)(**arguments)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_package_lists_its_api_and_refuses_other_names():
    assert set(datasets.__all__) <= set(dir(datasets))
    for name in datasets.__all__:
        assert getattr(datasets, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = datasets.lod


def test_a_report_cannot_be_changed(tmp_path):
    report = datasets.check(voc_folder(tmp_path / "pets", 4))
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.images = 5
