"""Splits into train and validation: by sequence, no image in both, every class in both."""

from collections import Counter

from coco_folders import box, coco, names

from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images


def test_frames_of_a_video_are_never_in_two_parts(tmp_path):
    frames = [{"id": i, "file_name": f"{i}.jpg", "video_id": i // 7} for i in range(70)]
    opened = open_dataset(
        str(coco(tmp_path / "video", frames, [box(i) for i in range(70)])), tmp_path / "cache"
    )
    videos = [{int(name.split(".")[0]) // 7 for name in names(part)} for part in opened.parts.values()]
    assert not videos[0] & videos[1]
    assert len(videos[1]) == 2
    assert "split by sequence, balanced by class: 56 training images, 14 validation images" in opened.notes


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
