"""What can be wrong in a COCO file, each named with its line."""

import json
import math

import pytest
from coco_folders import box, coco

from trainers.datasets.opening import open_dataset
from trainers.errors import UserError


@pytest.mark.parametrize(
    ("extra_image", "annotation", "kind"),
    [
        ({"id": 3, "file_name": "again.jpg"}, None, "duplicate image id"),
        (None, box(99), "annotation for a missing image"),
        (None, {**box(1), "id": 7}, "duplicate annotation id"),
        (None, {**box(1), "id": 41, "bbox": [1, 2, 3]}, "invalid box coordinates"),
        (None, {**box(1), "id": 41, "bbox": ["a", 2, 3, 4]}, "invalid box coordinates"),
        (None, {**box(1), "id": 41, "bbox": [math.nan, 2, 3, 4]}, "invalid box coordinates"),
        (None, {**box(1), "id": 41, "bbox": [1, 2, -3, 4]}, "box without area"),
        (None, {**box(1), "id": 41, "bbox": None}, "annotation without a box"),
        ({"id": "x", "file_name": "../../secret.jpg"}, None, "path outside the folder"),
    ],
)
def test_what_is_wrong_in_coco_is_named_with_its_line(tmp_path, extra_image, annotation, kind):
    images = [extra_image] if extra_image and ".." not in extra_image["file_name"] else []
    listed = [{"id": i, "file_name": f"{i}.jpg"} for i in range(40)]
    folder = coco(
        tmp_path / "coco",
        [*listed, *images],
        [*(box(i) for i in range(40)), *([annotation] if annotation else [])],
    )
    if extra_image and not images:
        document = json.loads((folder / "labels.json").read_text())
        document["images"].append(extra_image)
        (folder / "labels.json").write_text(json.dumps(document))
    opened = open_dataset(str(folder), tmp_path / "cache")
    (note,) = (note for note in opened.notes if f" x {kind}, " in note)
    assert "labels.json:1" in note


@pytest.mark.parametrize(
    ("categories", "why"),
    [
        ([{"id": 1}], "category 1 has no name"),
        ([{"id": 1, "name": " "}], "category 1 has no name"),
        ([{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}], "repeated category name"),
        ([{"id": 2, "name": "dog"}], "category_id 1, which is not in its categories"),
        ([], "no categories"),
    ],
)
def test_categories_that_cannot_be_used_are_refused(tmp_path, categories, why):
    folder = coco(
        tmp_path / "coco", [{"id": i, "file_name": f"{i}.jpg"} for i in range(4)], [box(i) for i in range(4)]
    )
    document = json.loads((folder / "labels.json").read_text())
    (folder / "labels.json").write_text(json.dumps({**document, "categories": categories}))
    with pytest.raises(UserError, match=why):
        open_dataset(str(folder), tmp_path / "cache")


def test_ids_with_gaps_are_remapped_by_name_and_said(tmp_path):
    folder = coco(
        tmp_path / "coco",
        [{"id": i, "file_name": f"{i}.jpg"} for i in range(8)],
        [box(i, 17) for i in range(8)],
    )
    document = json.loads((folder / "labels.json").read_text())
    document["categories"] = [{"id": 17, "name": "cat"}, {"id": 3, "name": "car"}]
    (folder / "labels.json").write_text(json.dumps(document))
    opened = open_dataset(str(folder), tmp_path / "cache")
    assert opened.classes == ("car", "cat")
    assert "label ids remapped by name to 1..2: car 3 -> 1, cat 17 -> 2" in opened.notes
