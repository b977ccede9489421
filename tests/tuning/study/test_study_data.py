"""A study's data: a share of them, written down with the study, found again, and never taken for others."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest
from coco_folders import box, coco, names

import search_spaces
from trainers import task as tasks
from trainers.datasets.formats.format import Reading
from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images
from trainers.datasets.splits import split_file
from trainers.detection.task import DETECTION
from trainers.errors import UserError
from trainers.recipe import InitialWeights
from tuning.api.settings import Settings
from tuning.run import main, parser
from tuning.study.data import open_data, reopen, write_split
from tuning.study.study import Study

CITY = "toy-city:train_images=20,validation_images=4,seed=3"
OTHER = "toy-city:train_images=20,validation_images=4,seed=4"


def begun(studies: Path, *words: str) -> tuple[Study, Settings]:
    """A study as the command would begin it, without a trial."""
    chosen = vars(parser().parse_args(["--space", "mobilenet", "--studies-dir", str(studies), *words]))
    settings = Settings(
        **{field.name: chosen[field.name] for field in fields(Settings) if field.name in chosen}
    )
    dataset = open_dataset(settings.data, studies / "data", subset=settings.subset, reading=settings.reading)
    space = search_spaces.get(settings.space)
    about = settings.manifest(dataset, space, settings.conditions(InitialWeights(source="none")))
    study = Study.open(studies / about.study, about)
    write_split(dataset, study.folder)
    study.close()
    return study, settings


def test_a_subset_is_a_study_of_its_own_that_says_its_share(tmp_path):
    whole, _ = begun(tmp_path, "--data", CITY)
    part, _ = begun(tmp_path, "--data", CITY, "--subset", "25%")
    assert (whole.name, part.name) == ("mobilenet-toy-city", "mobilenet-toy-city-25")
    told = json.loads((part.folder / "study.json").read_text())["data"]
    assert (told["subset"], told["given"], told["images"]) == (0.25, CITY, {"train": 5, "validation": 4})
    assert told["fingerprint"] != whole.manifest.data["fingerprint"]


def test_the_split_is_written_down_with_the_study(tmp_path):
    study, _ = begun(tmp_path, "--data", CITY, "--subset", "25%")
    lines = [line.split(",") for line in (study.folder / "split.csv").read_text().splitlines()]
    assert lines[0] == ["part", "image"]
    assert Counter(part for part, _ in lines[1:]) == {"train": 5, "validation": 4}
    dataset = reopen(DETECTION, study.manifest.data, tmp_path / "data")
    of_records = [(name, one.name) for name, part in dataset.parts.items() for one in read_images(part.files)]
    assert list(map(tuple, lines[1:])) == of_records == list(split_file.rows(dataset))


def test_a_study_keeps_how_its_data_are_read(tmp_path):
    frames = [{"id": i, "file_name": f"{i % 3} {i}.png"} for i in range(9)]
    words = ("--data", str(coco(tmp_path / "frames", frames, [box(0)])))
    study, _ = begun(tmp_path, *words, "--group-by", "^[0-9]", "--format", "coco")
    again = reopen(DETECTION, study.manifest.data, tmp_path / "another cache")
    assert again.fingerprint == study.manifest.data["fingerprint"]
    assert len({name[0] for name in names(again.validation)}) == 1
    with pytest.raises(
        UserError, match=r"is a study of other data \(read with --format coco, not with no --format\)"
    ):
        begun(tmp_path, *words)
    with pytest.raises(UserError, match="leave them out for images and masks"):
        open_data(tasks.get("segmentation"), words[1], tmp_path, reading=Reading("coco"))


@pytest.mark.slow
def test_a_studys_data_are_found_again_as_they_were_and_whole(tmp_path):
    study, _ = begun(tmp_path, "--data", CITY, "--subset", "25%")
    again = reopen(DETECTION, study.manifest.data, tmp_path / "another cache")
    assert again.fingerprint == study.manifest.data["fingerprint"]
    assert again.train.images == 5
    whole = reopen(DETECTION, study.manifest.data, tmp_path / "data", whole=True)
    assert (whole.train.images, whole.validation) == (
        20,
        reopen(DETECTION, study.manifest.data, tmp_path / "data").validation,
    )
    with pytest.raises(UserError, match="is not the data that the study was begun with"):
        reopen(DETECTION, study.manifest.data, tmp_path / "data", given=OTHER)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--data", OTHER], "is a study of other data ("),
        (["--data", CITY, "--subset", "50%"], "(25% of toy-city {"),
        (["--data", CITY], ", not 100% of it)"),
    ],
)
def test_the_command_refuses_to_go_on_with_other_data(tmp_path, capsys, words, why):
    study, _ = begun(tmp_path, "--data", CITY, "--subset", "25%", "--study", "mine")
    before = {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()}
    assert main(["--space", "mobilenet", "--studies-dir", str(tmp_path), "--study", "mine", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert why in said
    assert said.count("\n") == 1
    assert {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()} == before
