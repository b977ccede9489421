"""BDD100K JSON as published, written by hand, alone and as a part of a dataset YAML."""

import json
from pathlib import Path

from published_folders import images, labels, recognised, yolo

from trainers.datasets.records.reading import read_images


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


def test_a_yaml_of_parts_in_several_formats(tmp_path):
    bdd(tmp_path / "bdd", "all", "car", frames=4)
    for i in range(3):
        yolo(tmp_path / "yolo", f"{i}.jpg", f"{i}.txt", "0 0.5 0.5 0.25 0.5")
    (tmp_path / "yolo" / "classes.txt").write_text("car\nbus\n")
    (tmp_path / "both.yaml").write_text("train: bdd\nvalidation: yolo\n")
    opened = recognised(tmp_path / "both.yaml", "dataset_yaml", tmp_path)
    assert opened.classes == ("car", "bus")
    assert (opened.train.images, opened.validation.images) == (4, 3)
