"""COCO files as other tools export them: without boxes, with groups, differently numbered, beside other files."""

import json

import pytest
from coco_folders import box, coco
from labelled_folders import picture
from published_folders import labels, yolo

from trainers.datasets import check
from trainers.datasets.formats.recognition import recognise
from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images
from trainers.errors import UserError

IMAGES = [{"id": number, "file_name": f"{number}.jpg"} for number in range(6)]
SQUARE = [10, 10, 40, 10, 40, 30, 10, 30]
RLE = {"size": [48, 64], "counts": [490, *([20, 28] * 29), 20, 48 * 64 - 490 - 20 * 30 - 28 * 29]}


def boxes(opened) -> set[tuple]:
    records = [record for part in opened.parts.values() for record in read_images(part.files)]
    return {tuple(row) for record in records for row in record.pixel_boxes().round(2).tolist()}


def annotated(**fields) -> list[dict]:
    return [{"id": n, "image_id": n, "category_id": 1, "iscrowd": 0, **fields} for n in range(6)]


@pytest.mark.parametrize(
    "fields",
    [
        {"segmentation": [SQUARE]},
        {"segmentation": [SQUARE[:6], SQUARE[4:] + SQUARE[:2]]},
        {"segmentation": SQUARE},
        {"segmentation": [SQUARE], "bbox": []},
        {"segmentation": [SQUARE], "bbox": None},
        {"segmentation": [SQUARE], "bbox": [0, 0, 0, 0]},
        {"segmentation": RLE, "iscrowd": 1},
        {"segmentation": [], "bbox": [10, 10, 30, 20]},
    ],
)
def test_an_object_without_a_bbox_has_the_box_of_its_segmentation(tmp_path, fields):
    opened = open_dataset(str(coco(tmp_path / "coco", IMAGES, annotated(**fields))), tmp_path / "cache")
    assert boxes(opened) == {(10, 10, 30, 40)}


def test_a_compressed_mask_has_the_box_that_pycocotools_gives(tmp_path):
    mask = pytest.importorskip("pycocotools.mask")
    encoded = mask.frPyObjects(RLE, 48, 64)
    assert mask.toBbox(encoded).tolist() == [10, 10, 30, 20]
    text = {**encoded, "counts": encoded["counts"].decode()}
    folder = coco(tmp_path / "coco", IMAGES, annotated(segmentation=text))
    assert boxes(open_dataset(str(folder), tmp_path / "cache")) == {(10, 10, 30, 40)}


@pytest.mark.parametrize(
    "fields", [{}, {"keypoints": [1, 2, 2]}, {"segmentation": []}, {"segmentation": [[1]]}]
)
def test_an_object_with_neither_counts_as_lost(tmp_path, fields):
    folder = coco(tmp_path / "coco", IMAGES, [*annotated(bbox=[4, 4, 20, 20])[1:], annotated(**fields)[0]])
    report = check(folder)
    assert (report.affected, report.counts) == (1, {"annotation without a box": 1})
    assert "1 of 6 images have problems" in report.error


def test_boxes_in_fractions_are_refused(tmp_path):
    folder = coco(tmp_path / "coco", IMAGES, annotated(bbox=[0.1, 0.2, 0.5, 0.5]))
    with pytest.raises(UserError, match="6 x box in fractions"):
        open_dataset(str(folder), tmp_path / "cache")


def test_a_group_that_no_annotation_uses_is_no_class_though_it_is_called_like_one(tmp_path):
    folder = coco(tmp_path / "coco", IMAGES, [box(n, 1 + n % 2) for n in range(6)])
    document = json.loads((folder / "labels.json").read_text())
    for groups in ("cat", "pets"):
        document["categories"] = [
            {"id": 0, "name": groups, "supercategory": "none"},
            {"id": 1, "name": "cat", "supercategory": groups},
            {"id": 2, "name": "dog", "supercategory": groups},
        ]
        (folder / "labels.json").write_text(json.dumps(document))
        opened = open_dataset(str(folder), tmp_path / "cache")
        assert opened.classes == ("cat", "dog")
        assert opened.notes[0] == f"category 0 '{groups}' is left out: it is the group of others"


def test_a_class_of_its_own_group_stays_though_it_is_absent(tmp_path):
    folder = coco(tmp_path / "coco", IMAGES, [box(n, 2) for n in range(6)])
    document = json.loads((folder / "labels.json").read_text())
    document["categories"] = [
        {"id": 1, "name": "person", "supercategory": "person"},
        {"id": 2, "name": "car", "supercategory": "vehicle"},
    ]
    (folder / "labels.json").write_text(json.dumps(document))
    assert open_dataset(str(folder), tmp_path / "cache").classes == ("person", "car")


def test_two_files_that_number_the_classes_differently_are_matched_by_name(tmp_path):
    for part, names in (("train", ("cat", "dog")), ("val", ("dog", "cat", "horse"))):
        (tmp_path / "coco").mkdir(exist_ok=True)
        coco(tmp_path / "coco" / part, IMAGES, [box(n) for n in range(6)], names)
        for n in range(6):
            (tmp_path / "coco" / part / f"{n}.jpg").write_bytes(picture(n + 100 * len(part)))
    opened = open_dataset(str(tmp_path / "coco"), tmp_path / "cache")
    assert opened.classes == ("cat", "dog", "horse")
    assert (labels(opened), labels(opened, "validation")) == ({"cat": 6}, {"dog": 6})
    assert any("matched by name" in note for note in opened.notes)


def test_coco_2017_as_downloaded_is_read_from_its_instances(tmp_path):
    folder = tmp_path / "coco"
    folder.mkdir()
    (folder / "annotations").mkdir()
    for part in ("train2017", "val2017"):
        (folder / part).mkdir()
        for n in range(4):
            (folder / part / f"{n}.jpg").write_bytes(picture(n + len(part)))
        listed = [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in range(4)]
        person = {"id": 1, "name": "person", "supercategory": "person"}
        objects = [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [4, 4, 9, 9], "iscrowd": 0} for n in range(4)
        ]
        segments = [
            {"image_id": n, "file_name": f"{n}.png", "segments_info": [{"category_id": 1}]} for n in range(4)
        ]
        for name, annotations, categories in (
            ("instances", objects, [person, {"id": 3, "name": "car", "supercategory": "vehicle"}]),
            ("person_keypoints", [each | {"keypoints": [0] * 51} for each in objects], [person]),
            ("captions", [{"id": n, "image_id": n, "caption": "a person"} for n in range(4)], None),
            ("panoptic", segments, [person]),
            ("stuff", [each | {"category_id": 92} for each in objects], [{"id": 92, "name": "banner"}]),
        ):
            document = {"info": {}, "licenses": [], "images": listed, "annotations": annotations}
            document |= {"categories": categories} if categories else {}
            (folder / "annotations" / f"{name}_{part}.json").write_text(json.dumps(document))
    test = {
        "info": {},
        "images": [{"id": 9, "file_name": "9.jpg"}],
        "categories": [{"id": 1, "name": "person"}],
    }
    (folder / "annotations" / "image_info_test2017.json").write_text(json.dumps(test))
    opened = open_dataset(str(folder), tmp_path / "cache")
    assert opened.classes == ("person", "car")
    assert {name: part.images for name, part in opened.parts.items()} == {"train": 4, "validation": 4}
    assert "annotations/image_info_test2017.json is left out: it has no boxes" in opened.notes
    alone = open_dataset(str(folder / "annotations" / "person_keypoints_val2017.json"), tmp_path / "cache")
    assert alone.classes == ("person",)


def test_the_categories_beside_yolo_labels_are_not_taken_for_coco(tmp_path):
    for n in range(4):
        yolo(tmp_path / "export", f"images/{n}.jpg", f"labels/{n}.txt", "1 0.5 0.5 0.25 0.5")
        (tmp_path / "export" / "images" / f"{n}.jpg").write_bytes(picture(n))
    (tmp_path / "export" / "classes.txt").write_text("bus\ncar\n")
    notes = {"categories": [{"id": 0, "name": "bus"}, {"id": 1, "name": "car"}], "info": {"version": "1.0"}}
    (tmp_path / "export" / "notes.json").write_text(json.dumps(notes, indent=2))
    assert recognise(tmp_path / "export").format.NAME == "yolo"
    opened = open_dataset(str(tmp_path / "export"), tmp_path / "cache")
    assert (opened.classes, labels(opened)) == (("bus", "car"), {"car": 3})


PATHS = ["C:\\data\\street\\{}", "/home/me/street/{}", "../images/{}", "street/{}", "images\\{}"]


@pytest.mark.parametrize("path", PATHS)
def test_paths_of_another_machine_lead_to_the_images_that_are_here(tmp_path, path):
    listed = [{"id": n, "file_name": path.format(f"{n}.jpg"), "width": 64, "height": 48} for n in range(4)]
    (tmp_path / "coco" / "images").mkdir(parents=True)
    for n in range(4):
        (tmp_path / "coco" / "images" / f"{n}.jpg").write_bytes(picture(n))
    document = {
        "images": listed,
        "annotations": [box(n) for n in range(4)],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "coco" / "labels.json").write_text(json.dumps(document))
    assert check(tmp_path / "coco").counts == {}


@pytest.mark.parametrize("name", ["1.jpg", "cam2/1.jpg", "C:\\cam1\\1.jpg"])
def test_an_image_that_may_be_several_or_is_missing_from_its_folder_is_not_guessed(tmp_path, name):
    for n, path in enumerate(("cam0/1.jpg", "cam1/1.jpg", "cam2/2.jpg", "a.jpg", "b.jpg", "c.jpg")):
        (tmp_path / "coco" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "coco" / path).write_bytes(picture(n))
    listed = [{"id": n, "file_name": each} for n, each in enumerate(("a.jpg", "b.jpg", "c.jpg", name))]
    document = {
        "images": listed,
        "annotations": [box(n) for n in range(4)],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "coco" / "labels.json").write_text(json.dumps(document))
    counts = check(tmp_path / "coco").counts
    expected = {"1.jpg": {"ambiguous image name": 1}, "cam2/1.jpg": {"missing image": 1}}
    assert counts == expected.get(name, {})
