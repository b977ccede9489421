"""The labels' way back: what joins the data set, with which history, and what is refused."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from trainers.datasets.opening import load
from trainers.datasets.s3 import fetching
from trainers.errors import UserError
from tuning.selection import manifest, merging
from tuning.selection.manifest import Asked, Manifest


def picture(file, seed):
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8))


def coco(folder, images, classes, part="train"):
    """Write a COCO data set. images: file name -> [(class, box)]."""
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    rows, boxes = [], []
    for number, (name, found) in enumerate(images.items(), 1):
        rows.append({"id": number, "file_name": name, "width": 64, "height": 48})
        for kind, box in found:
            boxes.append({
                "id": len(boxes) + 1, "image_id": number, "category_id": classes.index(kind) + 1, "bbox": box,
                "area": box[2] * box[3], "iscrowd": 0,
            })  # fmt: skip
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    text = {"categories": categories, "images": rows, "annotations": boxes}
    (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(text))


@pytest.fixture
def data(tmp_path):
    """Six labelled images: four to train, two to validate."""
    folder = tmp_path / "data"
    for part, count in (("train", 4), ("validation", 2)):
        names = [f"{part}{i}.png" for i in range(count)]
        for i, name in enumerate(names):
            picture(folder / "images" / part / name, 100 * (part == "train") + i)
        coco(folder, {name: [("car", [5, 5, 20, 20])] for name in names}, ["car", "bike"], part)
    return folder


@pytest.fixture
def asked():
    rows = tuple(Asked(f"new{i}", f"new{i}.png", f"{i}", f"{i}", 2.0 - i, i + 1, 0, 1) for i in range(2))
    return Manifest("pool", "export000001", ("car", "bike"), "margin", 0, 0.5, rows)


def came_back(tmp_path, images, classes=("car", "bike")):
    folder = tmp_path / "labels"
    for i, name in enumerate(images):
        picture(folder / "images" / "train" / name, 500 + i)
    coco(folder, images, list(classes))
    return folder


BOTH = {"new0.png": [("car", [1, 2, 30, 20])], "new1.png": [("bike", [3, 4, 10, 10])]}


def test_labels_join_the_training_part_with_a_new_fingerprint_and_their_history(tmp_path, data, asked):
    labels, cache = came_back(tmp_path, BOTH), tmp_path / "cache"
    before = load(data, cache=cache)
    done = merging.merge(labels, asked, str(data), tmp_path / "more")
    assert (done.images, done.left, done.cycle) == (2, 0, 1)
    after = load(tmp_path / "more", cache=cache)
    assert (after.train.images, after.validation.images) == (
        before.train.images + 2,
        before.validation.images,
    )
    assert after.fingerprint == done.fingerprint != before.fingerprint
    history = json.loads((tmp_path / "more" / merging.HISTORY).read_text())
    assert [(row["image"], row["cycle"], row["strategy"]) for row in history["joined"]] == [
        ("new0", 1, "margin"), ("new1", 1, "margin"),
    ]  # fmt: skip
    assert history["before"] == before.fingerprint
    assert load(data, cache=cache).fingerprint == before.fingerprint

    again = Manifest("pool", "export000002", asked.classes, "entropy", 0, 0.5, (asked.images[0],))
    shutil.rmtree(labels)
    picture(labels / "images" / "train" / "new0.png", 900)
    coco(labels, {"new0.png": [("car", [1, 2, 30, 20])]}, ["car", "bike"])
    assert merging.merge(labels, again, str(tmp_path / "more"), tmp_path / "most").cycle == 2
    rows = json.loads((tmp_path / "most" / merging.HISTORY).read_text())["joined"]
    assert [row["cycle"] for row in rows] == [1, 1, 2]


def test_an_image_that_was_renamed_is_known_by_its_content(tmp_path, data, asked):
    import hashlib

    labels = came_back(tmp_path, {"other.png": [("car", [1, 2, 30, 20])]})
    content = hashlib.sha256((labels / "images" / "train" / "other.png").read_bytes()).hexdigest()
    one = Asked("new0", "new0.png", content, content, 1.0, 1, 0, 1)
    only = Manifest("pool", "export000001", asked.classes, "margin", 0, 0.5, (one,))
    assert merging.merge(labels, only, str(data), tmp_path / "more").images == 1


@pytest.mark.parametrize(
    ("images", "classes", "says"),
    [
        ({"new0.png": []}, ("car",), "1 of the 2 images that were asked for have no labels; --partial takes the others"),
        (BOTH | {"stranger.png": []}, ("car", "bike"), "stranger.png was never asked for"),
        (
            {"new0.png": [("Car", [1, 2, 3, 4])], "new1.png": []},
            ("Car",),
            "class 'Car' is not one of the data's (car, bike); rename it, or take it with --new-classes",
        ),
    ],
)  # fmt: skip
def test_labels_that_are_not_what_was_asked_are_refused_and_nothing_is_written(
    tmp_path, data, asked, images, classes, says
):
    labels = came_back(tmp_path, images, classes)
    with pytest.raises(UserError) as refused:
        merging.merge(labels, asked, str(data), tmp_path / "more")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data", "labels"]


def test_some_of_the_labels_and_new_classes_are_taken_on_request(tmp_path, data, asked):
    labels = came_back(tmp_path, {"new1.png": [("tram", [1, 2, 30, 20])]}, ("tram",))
    done = merging.merge(labels, asked, str(data), tmp_path / "more", partial=True, new_classes=True)
    assert (done.images, done.left) == (1, 1)
    assert load(tmp_path / "more", cache=tmp_path / "cache").classes == ("car", "bike", "tram")


def test_labels_that_were_merged_before_are_refused(tmp_path, data, asked):
    labels = came_back(tmp_path, BOTH)
    merging.merge(labels, asked, str(data), tmp_path / "more")
    with pytest.raises(UserError, match=r"is in .* already; its labels were merged before"):
        merging.merge(labels, asked, str(tmp_path / "more"), tmp_path / "most")
    assert not (tmp_path / "most").exists()


def test_a_manifest_survives_its_file(tmp_path, asked):
    asked.write(tmp_path)
    assert manifest.read(tmp_path) == asked


@pytest.mark.parametrize("named", ["{more}/data.yaml", "s3://bucket/more"])
def test_the_history_goes_on_wherever_the_data_are_and_however_they_are_named(
    tmp_path, data, asked, named, monkeypatch
):
    labels, more = came_back(tmp_path, BOTH), tmp_path / "more"
    merging.merge(labels, asked, str(data), more, to="yolo")
    monkeypatch.setattr(fetching, "fetch", lambda uri, on_progress: more)
    picture(labels / "images" / "train" / "new0.png", 900)
    picture(labels / "images" / "train" / "new1.png", 901)
    assert merging.merge(labels, asked, named.format(more=more), tmp_path / "most").cycle == 2
    rows = json.loads((tmp_path / "most" / merging.HISTORY).read_text())["joined"]
    assert [row["cycle"] for row in rows] == [1, 1, 2, 2]
