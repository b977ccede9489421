"""Subsets of the training images: balanced by class, the larger holds the smaller."""

from collections import Counter
from pathlib import Path

import pytest
from coco_folders import box, coco, names
from labelled_folders import voc, voc_folder

from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images
from trainers.datasets.splits.subsetting import parse_share
from trainers.errors import UserError


def test_subsets_keep_each_class_and_the_larger_holds_the_smaller(tmp_path):
    source = str(voc_folder(tmp_path / "pets", 100))
    whole = open_dataset(source, tmp_path / "cache")
    taken = {share: open_dataset(source, tmp_path / "cache", subset=share) for share in (0.1, 0.25, 0.5)}
    assert [part.train.images for part in taken.values()] == [8, 20, 40]
    assert names(taken[0.1].train) < names(taken[0.25].train) < names(taken[0.5].train) < names(whole.train)
    for part in taken.values():
        assert part.validation == whole.validation
        labels = Counter(label for record in read_images(part.train.files) for label in record.labels)
        assert labels[1] == labels[2]
    assert len({whole.fingerprint, *(part.fingerprint for part in taken.values())}) == 4
    assert open_dataset(source, tmp_path / "cache", subset=0.1) == taken[0.1]
    assert taken[0.1].name == "pets 10%"
    assert open_dataset(source, tmp_path / "cache", subset=1.0) == whole


def test_a_subset_is_found_again_from_a_relative_folder_and_after_a_move_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    voc_folder(tmp_path / "pets", 20)
    taken = open_dataset("pets", Path("studies/data"), subset=0.5)
    assert taken.validation.files[0].is_file()
    Path("studies").rename("moved")
    assert names(open_dataset("pets", Path("moved/data"), subset=0.5).train) == names(
        open_dataset("pets", tmp_path / "moved/data", subset=0.5).train
    )


def test_a_subset_has_every_class_however_rare(tmp_path):
    source = voc_folder(tmp_path / "pets", 60)
    voc(source, 60, ("horse", 4, 8, 40, 60))
    voc(source, 61, ("horse", 4, 8, 40, 60))
    opened = open_dataset(str(source), tmp_path / "cache", subset=0.05)
    assert {label for record in read_images(opened.train.files) for label in record.labels} == {1, 2, 3}


def test_a_subset_is_as_large_as_asked_however_the_classes_divide(tmp_path):
    names = [str(i) for i in range(7)]
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in range(100)]
    source = coco(tmp_path / "many", images, [box(i, 1 + i % 7) for i in range(100)], names)
    for share, size in ((0.1, 8), (0.31, 25), (0.5, 40), (0.01, 7)):  # of 80; one of each class at least
        assert open_dataset(str(source), tmp_path / "cache", subset=share).train.images == size


@pytest.mark.parametrize(
    ("text", "share"), [("10%", 0.1), ("0.1", 0.1), (" 2.5 % ", 0.025), ("100%", 1.0), ("1", 1.0)]
)
def test_a_share_is_a_percentage_or_a_fraction(text, share):
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "0", "0%", "-10%", "101%", "10", "ten", "nan"])
def test_a_share_that_is_none_is_refused(text):
    with pytest.raises(UserError, match=r"such as 10% or 0\.1"):
        parse_share(text)
