"""Folds: each image is for validation once, recordings and equal pictures stay together, the test part stays apart."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from coco_folders import box, coco, names

from trainers.datasets.formats.format import Reading
from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images
from trainers.datasets.splits.folds import Fold, held_out
from trainers.errors import UserError


def folds_of(source, cache, count, **reading):
    asked = Reading(**reading)
    return [
        open_dataset(str(source), cache, reading=dataclasses.replace(asked, fold=Fold(number, count)))
        for number in range(1, count + 1)
    ]


@pytest.fixture
def photographs(tmp_path):
    """Sixty, of which every tenth shows the rare class."""
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in range(60)]
    return coco(tmp_path / "photographs", images, [box(i, 2 if i % 10 == 0 else 1) for i in range(60)])


def test_each_image_is_for_validation_once(photographs, tmp_path):
    folds = folds_of(photographs, tmp_path / "cache", 3)
    held_out_once = Counter(name for fold in folds for name in names(fold.validation))
    assert set(held_out_once.values()) == {1}
    assert len(held_out_once) == 60
    for fold in folds:
        assert names(fold.train) == set(held_out_once) - names(fold.validation)
    assert len({fold.fingerprint for fold in folds}) == 3


def test_each_fold_has_its_share_of_a_rare_class(photographs, tmp_path):
    for fold in folds_of(photographs, tmp_path / "cache", 3):
        shown = Counter(label for image in read_images(fold.validation.files) for label in image.labels)
        assert shown == {1: 18, 2: 2}


def test_frames_of_a_video_stay_together_and_the_folds_are_of_about_one_size(tmp_path):
    sizes = [30, 12, 10, 8]
    video = [number for number, size in enumerate(sizes) for _ in range(size)]
    frames = [{"id": i, "file_name": f"{i}.jpg", "video_id": video[i]} for i in range(60)]
    source = coco(tmp_path / "video", frames, [box(i) for i in range(60)])
    folds = folds_of(source, tmp_path / "cache", 2)
    shown = [{video[int(name.split(".")[0])] for name in names(fold.validation)} for fold in folds]
    assert shown == [{0}, {1, 2, 3}]


def test_parts_of_the_source_are_split_anew_but_its_test_part_stays(tmp_path):
    for part, start, count in (("train", 0, 20), ("val", 20, 4), ("test", 24, 6)):
        listed = [{"id": i, "file_name": f"{i}.jpg"} for i in range(start, start + count)]
        (tmp_path / "source").mkdir(exist_ok=True)
        coco(tmp_path / "source" / part, listed, [box(i) for i in range(start, start + count)])
    for fold in folds_of(tmp_path / "source", tmp_path / "cache", 2):
        assert (fold.train.images, fold.validation.images, fold.test.images) == (12, 12, 6)
        assert names(fold.test) == {f"test/{i}.jpg" for i in range(24, 30)}


def test_a_pattern_groups_the_images_of_folds_too(photographs, tmp_path):
    import re

    folds = folds_of(photographs, tmp_path / "cache", 2, group_by=re.compile(r"^(\d)"))
    tens = [{name[0] for name in names(fold.validation)} for fold in folds]
    assert not tens[0] & tens[1]


def test_more_folds_than_images_are_refused(tmp_path):
    source = coco(
        tmp_path / "few", [{"id": i, "file_name": f"{i}.jpg"} for i in range(3)], [box(i) for i in range(3)]
    )
    with pytest.raises(UserError, match=r"cannot split 3 images into 4 folds; give fewer --folds$"):
        folds_of(source, tmp_path / "cache", 4)


def test_the_toy_city_has_no_folds(tmp_path):
    with pytest.raises(UserError, match=r"^--folds is for images of one's own"):
        open_dataset(None, tmp_path, reading=Reading(fold=Fold(1, 2)))


def test_a_fold_is_read_from_its_text():
    assert Fold.parse(str(Fold(2, 3))) == Fold(2, 3)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_sequences_of_any_size_go_to_one_fold_each_and_fill_them_evenly(count):
    sequences = [(f"video {n}", 1 + 7 * n % 11) for n in range(50)]
    parts = [held_out(sequences, Fold(number, count))[0] for number in range(1, count + 1)]
    assert sorted(name for part in parts for name in part) == sorted(name for name, _ in sequences)
    sizes = [sum(dict(sequences)[name] for name in part) for part in parts]
    assert max(sizes) - min(sizes) <= 11
