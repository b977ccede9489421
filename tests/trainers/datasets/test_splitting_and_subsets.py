import json
from collections import Counter

import pytest
from labelled_folders import picture, voc, voc_folder

from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images
from trainers.datasets.splits.subsetting import parse_share
from trainers.errors import UserError


def coco(folder, images: list[dict], annotations: list[dict], names=("cat", "dog")):
    """A COCO file over 64x48 pictures; an image without a `number` of its own shows its id's picture."""
    folder.mkdir(exist_ok=True)
    listed = []
    for image in images:
        (folder / image["file_name"]).write_bytes(picture(image.pop("number", image["id"])))
        listed.append({"width": 64, "height": 48, **image})
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    document = {"images": listed, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(document))
    return folder


def box(image_id: int, category: int = 1) -> dict:
    return {
        "id": image_id,
        "image_id": image_id,
        "category_id": category,
        "bbox": [4, 4, 20, 20],
        "iscrowd": 0,
    }


def names(part) -> set[str]:
    return {record.name for record in read_images(part.files)}


def test_frames_of_a_video_are_never_in_two_parts(tmp_path):
    frames = [{"id": i, "file_name": f"{i}.jpg", "video_id": i // 7} for i in range(70)]
    opened = open_dataset(
        str(coco(tmp_path / "video", frames, [box(i) for i in range(70)])), tmp_path / "cache"
    )
    videos = [{int(name.split(".")[0]) // 7 for name in names(part)} for part in opened.parts.values()]
    assert not videos[0] & videos[1]
    assert len(videos[1]) == 2
    assert "split by sequence, balanced by class: 56 images to train on, 14 to validate on" in opened.notes


def test_the_same_picture_is_never_in_two_parts(tmp_path):
    images = [{"id": i, "file_name": f"{i}.jpg", "number": i // 2} for i in range(40)]
    opened = open_dataset(
        str(coco(tmp_path / "pairs", images, [box(i) for i in range(40)])), tmp_path / "cache"
    )
    train, validation = ({r.image_sha256 for r in read_images(part.files)} for part in opened.parts.values())
    assert not train & validation
    assert (opened.train.images, opened.validation.images) == (32, 8)


def test_a_rare_class_is_in_both_parts(tmp_path):
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in range(100)]
    rare = [box(i, 2 if i % 20 == 0 else 1) for i in range(100)]
    opened = open_dataset(str(coco(tmp_path / "rare", images, rare)), tmp_path / "cache")
    shown = [
        Counter(label for r in read_images(part.files) for label in r.labels)
        for part in opened.parts.values()
    ]
    assert [part[2] for part in shown] == [4, 1]


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
    with pytest.raises(UserError, match=r"like 10% or 0\.1"):
        parse_share(text)
