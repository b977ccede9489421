"""COCO JSON as people and their tools leave it, written by hand: not by this project's writer."""

import json

import pytest
from published_folders import images, labels, recognised

from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images


def test_coco_as_published_finds_each_parts_images_though_their_names_repeat(tmp_path):
    root = tmp_path / "coco"
    for part in ("train2017", "val2017"):
        images(root / part, "1.jpg", "2.jpg")
    for part, category in (("train2017", 1), ("val2017", 2)):
        (root / "annotations").mkdir(exist_ok=True)
        document = {
            "info": {"year": 2017},
            "images": [{"id": i, "file_name": f"{i}.jpg", "width": 64, "height": 48} for i in (1, 2)],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
            "annotations": [
                {"id": i, "image_id": i, "category_id": category, "bbox": [4, 4, 9, 9]} for i in (1, 2)
            ],
        }
        (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(document))
        captions = {"info": {}, "images": [], "annotations": [{"id": 1, "image_id": 1, "caption": "a cat"}]}
        (root / "annotations" / f"captions_{part}.json").write_text(json.dumps(captions))
    opened = recognised(root, "coco", tmp_path)
    assert labels(opened) == {"cat": 2}
    assert labels(opened, "validation") == {"dog": 2}
    assert {r.image for r in read_images(opened.train.files)} == {
        p.read_bytes() for p in (root / "train2017").iterdir()
    }
    alone = open_dataset(str(root / "annotations" / "instances_val2017.json"), tmp_path / "cache")
    assert alone.train.images + alone.validation.images == 2


def test_coco_that_names_images_by_their_way_from_its_own_folder(tmp_path):
    root = tmp_path / "coco"
    names = ("video 1/day/1.jpg", "video 1/day/2.jpg", "video 2/1.jpg")
    images(root, *names)
    document = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": [4, 4, 9, 9]} for i in range(3)],
    }
    (root / "labels.json").write_text(json.dumps(document))
    opened = recognised(root, "coco", tmp_path)
    assert labels(opened) + labels(opened, "validation") == {"cat": 3}


def test_coco_as_roboflow_exports_it(tmp_path):
    for part in ("train", "valid", "test"):
        images(tmp_path / "export" / part, f"{part}.jpg")
        document = {
            "images": [{"id": 0, "file_name": f"{part}.jpg", "height": 48, "width": 64}],
            "categories": [{"id": 0, "name": "pets", "supercategory": "none"}, {"id": 1, "name": "cat"}],
            "annotations": [
                {"id": 0, "image_id": 0, "category_id": 1, "bbox": [4, 4, 9, 9], "segmentation": []}
            ],
        }
        (tmp_path / "export" / part / "_annotations.coco.json").write_text(json.dumps(document, indent=2))
    opened = recognised(tmp_path / "export", "coco", tmp_path)
    assert {name: part.images for name, part in opened.parts.items()} == {
        "train": 1,
        "validation": 1,
        "test": 1,
    }
    assert labels(opened) == {"cat": 1}
    assert any("pets 0 -> 1, cat 1 -> 2" in note for note in opened.notes)


@pytest.mark.parametrize(("stated", "used"), [("1", "1"), (1, "1"), ("1", 1), (1, 1.0), (1.0, 1)])
def test_category_ids_may_be_texts_or_have_a_point(tmp_path, stated, used):
    images(tmp_path / "coco", *(f"{number}.jpg" for number in range(4)))
    document = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(4)],
        "categories": [{"id": stated, "name": "cat"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": used, "bbox": [4, 4, 9, 9]} for i in range(4)
        ],
    }
    (tmp_path / "coco" / "labels.json").write_text(json.dumps(document))
    assert labels(recognised(tmp_path / "coco", "coco", tmp_path)) == {"cat": 3}
