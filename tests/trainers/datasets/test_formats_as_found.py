"""Folders as people and their tools leave them, written by hand: not by this project's writers."""

import json
from collections import Counter
from pathlib import Path

import pytest
from labelled_folders import picture

from trainers.datasets import formats
from trainers.datasets.opening import open_dataset
from trainers.datasets.records import tf_example
from trainers.datasets.records.reading import read_images
from trainers.datasets.records.tfrecords import TFRecordWriter
from trainers.errors import UserError


def images(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(number + 100 * len(str(folder))))


def labels(opened, part="train") -> Counter[str]:
    records = read_images(opened.parts[part].files)
    return Counter(opened.classes[label - 1] for record in records for label in record.labels)


def recognised(folder: Path, name: str, tmp_path: Path):
    assert name == formats.recognise(folder).NAME
    return open_dataset(str(folder), tmp_path / "cache")


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


def bdd(folder: Path, part: str, person: str, frames: int = 3, **fields) -> None:
    images(folder / "images" / "100k" / part, *(f"{part}{i}.jpg" for i in range(frames)))
    box2d = {"x1": 1, "y1": 2, "x2": 30, "y2": 40}
    document = [
        {
            "name": f"{part}{i}.jpg",
            "attributes": {"weather": "rainy", "scene": "city street", "timeofday": "night"},
            "timestamp": 10000,
            "labels": [
                {
                    "category": person,
                    "attributes": {"occluded": False},
                    "box2d": box2d,
                    "id": 0,
                },
                {"category": "lane", "attributes": {}, "poly2d": [], "id": 1},
            ],
            **{key: value(i) for key, value in fields.items()},
        }
        for i in range(frames)
    ]
    (folder / "labels").mkdir(exist_ok=True)
    (folder / "labels" / f"bdd100k_labels_images_{part}.json").write_text(json.dumps(document, indent=4))


def test_bdd100k_in_both_vocabularies_has_the_same_classes(tmp_path):
    bdd(tmp_path / "bdd", "train", "person")
    bdd(tmp_path / "bdd", "val", "pedestrian")
    opened = recognised(tmp_path / "bdd", "bdd100k", tmp_path)
    assert opened.classes == ("pedestrian",)
    assert (labels(opened), labels(opened, "validation")) == ({"pedestrian": 3}, {"pedestrian": 3})
    assert any("person -> pedestrian" in note for note in opened.notes)


def test_bdd100k_keeps_the_frames_of_a_video_together(tmp_path):
    bdd(tmp_path / "bdd", "all", "car", frames=40, videoName=lambda i: f"video{i // 4}")
    opened = recognised(tmp_path / "bdd", "bdd100k", tmp_path)
    videos = [{int(Path(r.name).stem[3:]) // 4 for r in read_images(p.files)} for p in opened.parts.values()]
    assert not videos[0] & videos[1]
    assert opened.validation.images == 8


def yolo(folder: Path, image: str, label: str, *lines: str) -> None:
    images(folder, image)
    (folder / label).parent.mkdir(parents=True, exist_ok=True)
    (folder / label).write_text("\n".join(lines))


YAMLS = {
    "a list of names": "train: images/train\nval: images/val\nnc: 2\nnames: ['cat', 'dog']\n",
    "names by number": "path: .\ntrain: images/train  # as Ultralytics\nval: images/val\nnames:\n  0: cat\n  1: dog\n",
    "Roboflow's": "train: ../images/train\nval: ../images/val\nnames: ['cat', 'dog']\n",
    "another's path": "path: ../datasets/elsewhere\ntrain: images/train\nval: images/val\nnames: ['cat', 'dog']\n",
    "lists of images": "train: train.txt\nval: [images/val]\nnames: ['cat', 'dog']\n",
}


@pytest.mark.parametrize("kind", YAMLS)
def test_yolo_with_a_data_yaml(tmp_path, kind):
    root = tmp_path / "pets"
    yolo(root, "images/train/a.jpg", "labels/train/a.txt", "1 0.5 0.5 0.25 0.5")
    yolo(root, "images/train/b.jpg", "labels/train/b.txt", "0 0.1 0.1 0.9 0.1 0.9 0.8", "")
    images(root, "images/train/nothing.jpg")
    yolo(root, "images/val/c.jpg", "labels/val/c.txt", "0 0.5 0.5 1 1")
    (root / "train.txt").write_text("./images/train/a.jpg\nimages/train/b.jpg\n./images/train/nothing.jpg\n")
    (root / "data.yaml").write_text(YAMLS[kind])
    opened = recognised(root, "dataset_yaml", tmp_path)
    assert opened.classes == ("cat", "dog")
    assert (opened.train.images, opened.validation.images) == (3, 1)
    boxes = {record.name.split("/")[-1]: record.boxes.tolist() for record in read_images(opened.train.files)}
    assert boxes["a.jpg"][0] == pytest.approx([0.25, 0.375, 0.75, 0.625])
    assert boxes["b.jpg"][0] == pytest.approx([0.1, 0.1, 0.8, 0.9])
    assert boxes["nothing.jpg"] == []
    assert open_dataset(str(root / "data.yaml"), tmp_path / "cache").fingerprint == opened.fingerprint


def test_a_change_behind_a_yaml_is_seen(tmp_path):
    root = tmp_path / "pets"
    for part, name in (("train", "a"), ("train", "b"), ("val", "c")):
        yolo(root, f"images/{part}/{name}.jpg", f"labels/{part}/{name}.txt", "0 0.5 0.5 0.25 0.5")
    (root / "yaml").mkdir()
    (root / "yaml" / "mine.yaml").write_text(
        f"path: {root}\ntrain: images/train\nval: images/val\nnames: [cat]\n"
    )
    before = open_dataset(str(root / "yaml" / "mine.yaml"), tmp_path / "cache")
    (root / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.5 0.5")
    assert (
        open_dataset(str(root / "yaml" / "mine.yaml"), tmp_path / "cache").fingerprint != before.fingerprint
    )


def test_a_yaml_of_parts_in_several_formats(tmp_path):
    bdd(tmp_path / "bdd", "all", "car", frames=4)
    for i in range(3):
        yolo(tmp_path / "yolo", f"{i}.jpg", f"{i}.txt", "0 0.5 0.5 0.25 0.5")
    (tmp_path / "yolo" / "classes.txt").write_text("car\nbus\n")
    (tmp_path / "both.yaml").write_text("train: bdd\nvalidation: yolo\n")
    opened = recognised(tmp_path / "both.yaml", "dataset_yaml", tmp_path)
    assert opened.classes == ("car", "bus")
    assert (opened.train.images, opened.validation.images) == (4, 3)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("train: nowhere\nval: nowhere\n", "there is no .*nowhere"),
        ("train: images\nnames: [a, a]\n", "a name of its own"),
        ("train: images\nnames: cats\n", "names should be a list"),
        ("train: [\n", "cannot be read as YAML"),
        ("- train: images\ntrain: images", "cannot be read as YAML"),
    ],
)
def test_a_yaml_that_cannot_be_used_is_refused(tmp_path, text, why):
    yolo(tmp_path, "images/a.jpg", "labels/a.txt", "0 0.5 0.5 1 1")
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(UserError, match=why):
        open_dataset(str(tmp_path / "data.yaml"), tmp_path / "cache")


def test_yolo_labels_without_names_are_refused(tmp_path):
    yolo(tmp_path / "pets", "images/a.jpg", "labels/a.txt", "0 0.5 0.5 1 1")
    with pytest.raises(UserError, match=r"add a classes\.txt"):
        recognised(tmp_path / "pets", "yolo", tmp_path)


def test_a_yolo_class_without_a_name_is_refused_with_its_line(tmp_path):
    yolo(tmp_path / "pets", "a.jpg", "a.txt", "0 0.5 0.5 1 1", "7 0.5 0.5 1 1")
    (tmp_path / "pets" / "classes.txt").write_text("cat\n")
    with pytest.raises(UserError, match=r"a\.txt:2: class 7 is not in classes\.txt"):
        recognised(tmp_path / "pets", "yolo", tmp_path)


def waymo_segment(path: Path, frames: int, texts: bool = True, number: int = 0) -> None:
    """As the Udacity course's script writes it: `jpg`, the segment's name for every frame, ids 1, 2 and 4."""
    names = {1: b"vehicle", 2: b"pedestrian", 4: b"cyclist"}
    with TFRecordWriter(path) as shard:
        for frame in range(frames):
            ids = [1, 2, 4][: frame % 3 + 1]
            features = {
                "image/height": [48], "image/width": [64], "image/format": b"jpg",
                "image/filename": path.name.encode(), "image/source_id": path.name.encode(),
                "image/encoded": picture(1000 * number + frame),
                **{f"image/object/bbox/{edge}": [0.1] * len(ids) for edge in ("xmin", "ymin")},
                **{f"image/object/bbox/{edge}": [0.6] * len(ids) for edge in ("xmax", "ymax")},
                "image/object/class/label": ids,
            }  # fmt: skip
            if texts:
                features["image/object/class/text"] = [names[label] for label in ids]
            shard.write(tf_example.encode(features))


@pytest.mark.parametrize("texts", [True, False])
def test_waymo_cyclists_get_an_id_that_is_learned_and_segments_stay_whole(tmp_path, texts):
    folder = tmp_path / "waymo"
    folder.mkdir()
    for number in range(10):
        waymo_segment(folder / f"segment-{number}_with_camera_labels.tfrecord", 6, texts, number)
    opened = recognised(folder, "waymo", tmp_path)
    assert opened.classes == ("vehicle", "pedestrian", "cyclist")
    assert (
        "label ids remapped by name to 1..3: vehicle 1 -> 1, pedestrian 2 -> 2, cyclist 4 -> 3"
        in opened.notes
    )
    assert labels(opened)["cyclist"] == 16
    assert (opened.train.images, opened.validation.images) == (48, 12)
    segments = [{r.name.split("~")[0] for r in read_images(part.files)} for part in opened.parts.values()]
    assert not segments[0] & segments[1]


def test_waymo_with_the_courses_label_map(tmp_path):
    folder = tmp_path / "waymo"
    for part in ("train", "val"):
        (folder / part).mkdir(parents=True)
        waymo_segment(folder / part / "segment-0_with_camera_labels.tfrecord", 6, number=len(part))
    (tmp_path / "label_map.pbtxt").write_text(
        "item {id: 1 name: 'vehicle'}\nitem {id: 2 name: 'pedestrian'}\nitem {id: 4 name: 'cyclist'}\n"
    )
    opened = recognised(folder, "waymo", tmp_path)
    assert labels(opened, "validation") == {"vehicle": 6, "pedestrian": 4, "cyclist": 2}


def test_records_without_a_label_map_are_named_by_their_own_texts(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    waymo_segment(folder / "train.record", 12)
    opened = recognised(folder, "tfrecord", tmp_path)
    assert opened.classes == ("vehicle", "pedestrian", "cyclist")
    waymo_segment(folder / "train.record", 12, texts=False)
    with pytest.raises(UserError, match=r"no label map \(\*\.pbtxt\)"):
        open_dataset(str(folder), tmp_path / "cache")


def test_pascal_voc_beside_its_images_and_in_the_devkit_is_the_same(tmp_path):
    xml = (
        "<annotation><folder>x</folder><filename>{0}.jpg</filename><object><name>cat</name><bndbox><xmax>30</xmax>"
        "<ymax>40</ymax><xmin>1</xmin><ymin>2</ymin></bndbox></object></annotation>"
    )
    for folder, where, beside in (("flat", "", ""), ("VOC2012", "Annotations", "JPEGImages")):
        for number in range(5):
            (tmp_path / folder / where).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / beside).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / where / f"{number}.xml").write_text(xml.format(number))
            (tmp_path / folder / beside / f"{number}.jpg").write_bytes(picture(number))
    boxes = []
    for folder in ("flat", "VOC2012"):
        opened = recognised(tmp_path / folder, "pascal_voc", tmp_path)
        parts = opened.parts.values()
        boxes.append({r.image: r.boxes.tolist() for part in parts for r in read_images(part.files)})
    assert boxes[0] == boxes[1]
    assert len(boxes[0]) == 5
