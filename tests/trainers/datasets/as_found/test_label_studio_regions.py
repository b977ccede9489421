"""Label Studio's exports in which a region and its label are apart, and regions without a label."""

import json

import pytest
from label_studio_exports import RESULTS, VALUE, pixels, result, studio
from labelled_folders import picture
from published_folders import labels, recognised

from trainers.datasets import check

POLYGON = {"points": [[15.625, 25], [62.5, 20.833333], [50, 62.5]]}
ELLIPSE = {"x": 39.0625, "y": 41.666667, "radiusX": 23.4375, "radiusY": 20.833333}


def apart(kind: str, shape: dict) -> list[dict]:
    """The results of one region that was drawn with <Rectangle> and named with <Labels> and <TextArea>."""
    region = {"original_width": 64, "original_height": 48, "id": "r1", "to_name": "image"}
    return [
        {**region, "from_name": "box", "type": kind, "value": shape},
        {**region, "from_name": "label", "type": "labels", "value": {**shape, "labels": ["car"]}},
        {**region, "from_name": "text", "type": "textarea", "value": {**shape, "text": ["AB 123"]}},
    ]


@pytest.mark.parametrize(
    ("kind", "shape"), [("rectangle", VALUE), ("polygon", POLYGON), ("ellipse", ELLIPSE)]
)
def test_a_region_whose_label_is_a_result_of_its_own_is_one_box(tmp_path, kind, shape):
    folder = studio(tmp_path / "studio", [apart(kind, shape)] * 4)
    opened = recognised(folder, "label_studio", tmp_path)
    assert labels(opened) == {"car": 3}
    assert pixels(opened) == [pytest.approx((10, 10, 30, 40), abs=0.01)] * 4


@pytest.mark.parametrize("kind", ["rectangle", "rectanglelabels"])
def test_a_region_without_a_label_is_a_problem(tmp_path, kind):
    """It shows an object, whose place would count as background."""
    named = result(RESULTS["rectangle"][0])
    unnamed = {**named, "id": "b2", "type": kind, "value": VALUE}
    report = check(studio(tmp_path / "studio", [[named, unnamed], [named], [named], [named]]))
    assert report.counts == {"label without a category": 1}
    assert report.affected == 1


def short(folder, *tasks: dict) -> None:
    """JSON_MIN: the values under the name of the tag, with the image's size and without ids."""
    for number in range(len(tasks)):
        (folder / f"{number}.jpg").write_bytes(picture(number))
    sized = {"original_width": 64, "original_height": 48}
    written = [
        {
            "id": n,
            "image": f"{n}.jpg",
            **{tag: [{**value, **sized} for value in tags] for tag, tags in task.items()},
        }
        for n, task in enumerate(tasks)
    ]
    (folder / "min.json").write_text(json.dumps(written))


def test_a_region_without_a_label_in_the_short_form_is_a_problem(tmp_path):
    named = {**VALUE, "rectanglelabels": ["car"]}
    short(tmp_path, {"label": [named, {**VALUE, "x": 40}]}, *[{"label": [named]}] * 3)
    assert check(tmp_path).counts == {"label without a category": 1}


def test_a_region_that_the_short_form_names_apart_is_one_box(tmp_path):
    folder = tmp_path / "studio"
    folder.mkdir()
    named = {**VALUE, "labels": ["car"]}
    short(folder, *[{"box": [VALUE], "label": [named], "text": [{**VALUE, "text": ["AB 123"]}]}] * 4)
    assert check(folder).counts == {}
    assert labels(recognised(folder, "label_studio", tmp_path)) == {"car": 3}
