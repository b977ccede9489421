"""CVAT's and Label Studio's own exports, written by hand as these tools write them."""

import json

import pytest
from label_studio_exports import RESULTS, VALUE, pixels, result, studio
from labelled_folders import picture
from published_folders import labels, recognised

from trainers.datasets import check, load
from trainers.datasets.opening import open_dataset
from trainers.errors import UserError

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>7</id><labels>
<label><name>car</name><color>#fa3253</color><attributes><attribute><name>plate</name></attribute></attributes></label>
<label><name>bus</name><attributes></attributes></label>
<label><name>elbow</name><parent>arm</parent></label>
</labels></task></meta>
{}</annotations>"""
BOX = 'label="car" source="manual" occluded="0" z_order="0"'
SHAPES = {
    f'<box {BOX} xtl="10.00" ytl="10.00" xbr="40.00" ybr="30.00"></box>': (
        10,
        10,
        30,
        40,
    ),
    f'<box {BOX} xtl="10" ytl="10" xbr="40" ybr="30" rotation="90.0"></box>': (5, 15, 35, 35),
    f'<polygon {BOX} points="10.0,12.5;40,10;35.5,30"></polygon>': (10, 10, 30, 40),
    f'<ellipse {BOX} cx="25" cy="20" rx="15" ry="10"></ellipse>': (10, 10, 30, 40),
    # radii 15 and 10, turned: by 90 degrees they change places, by 45 both sides are the root of (15² + 10²) / 2
    f'<ellipse {BOX} cx="25" cy="20" rx="15" ry="10" rotation="90"></ellipse>': (5, 15, 35, 35),
    f'<ellipse {BOX} cx="25" cy="20" rx="15" ry="10" rotation="45"></ellipse>': (7.25, 12.25, 32.75, 37.75),
    f'<ellipse {BOX} cx="25" cy="20" rx="10" ry="10" rotation="30"></ellipse>': (10, 15, 30, 35),
    f'<mask {BOX} rle="1,2" left="10" top="10" width="30" height="20"></mask>': (10, 10, 30, 40),
}


def cvat(folder, shapes: list[str], names="{}.jpg", subset='subset="default"'):
    folder.mkdir(parents=True)
    images = ""
    for number, shape in enumerate(shapes):
        name = names.format(number)
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).write_bytes(picture(number))
        images += f'<image id="{number}" name="{name}" {subset} width="64" height="48">{shape}</image>\n'
    (folder / "annotations.xml").write_text(CVAT.format(images))
    return folder


@pytest.mark.parametrize("shape", SHAPES)
def test_cvat_shapes_with_an_area_are_boxes(tmp_path, shape):
    opened = recognised(cvat(tmp_path / "cvat", [shape] * 4), "cvat", tmp_path)
    assert opened.classes == ("car", "bus")
    assert pixels(opened) == [pytest.approx(SHAPES[shape], abs=0.01)] * 4


def test_cvat_points_are_left_out_and_that_is_said(tmp_path):
    box = next(iter(SHAPES))
    folder = cvat(tmp_path / "cvat", [f'{box}<points {BOX} points="1,2"></points>'] * 4, "cam 1/{}.jpg")
    opened = open_dataset(str(folder), tmp_path / "cache")
    assert labels(opened) == {"car": 3}
    assert any("points are left out" in note for note in opened.notes)
    assert check(folder / "annotations.xml").error is None


def test_every_cvat_file_of_a_folder_is_read(tmp_path):
    for job in range(25):  # an export of each job
        folder = cvat(tmp_path / "jobs" / f"{job:02d}", [next(iter(SHAPES))], f"{job}-{{}}.jpg")
        (folder / "images" / f"{job}-0.jpg").write_bytes(picture(job))
        if job % 5 == 0:
            (folder / "annotations.xml").rename(folder / "ANNOTATIONS.XML")
    report = check(tmp_path / "jobs")
    assert (report.images, report.counts, report.error) == (25, {}, None)
    assert not any("no labels" in note for note in report.notes)


def test_the_suffix_of_a_cvat_file_may_be_in_upper_case(tmp_path):
    folder = cvat(tmp_path / "cvat", [next(iter(SHAPES))] * 4)
    named = (folder / "annotations.xml").rename(folder / "ANNOTATIONS.XML")
    assert check(folder).images == check(named).images == 4


@pytest.mark.parametrize(("subset", "images"), [("Train", None), ("Validation", None), ("default", (3, 1))])
def test_the_subset_of_cvat_is_the_part(tmp_path, subset, images):
    folder = cvat(tmp_path / "cvat", [next(iter(SHAPES))] * 4, subset=f'subset="{subset}"')
    text = (folder / "annotations.xml").read_text()
    if images is None:  # the others of the other part
        other = "Validation" if subset == "Train" else "Train"
        third = f'id="3" name="3.jpg" subset="{subset}"'
        (folder / "annotations.xml").write_text(text.replace(third, third.replace(subset, other)))
        images = (3, 1) if subset == "Train" else (1, 3)
    opened = open_dataset(str(folder), tmp_path / "cache")
    assert (opened.train.images, opened.validation.images) == images


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '<track id="0" label="car"><box frame="0" xtl="1" ytl="1" xbr="9" ybr="9"/></track>',
            "CVAT for video",
        ),
        ('<image id="0" name="0.jpg"', "broken CVAT for images 1.1 XML"),
        (
            '<image id="0" name="0.jpg"><box label="b" xtl="1" ytl="1" xbr="9" ybr="9"/></image>',
            "'b' is not in its <labels>",
        ),
    ],
)
def test_cvat_that_cannot_be_used_is_refused_by_its_name(tmp_path, content, said):
    folder = cvat(tmp_path / "cvat", [""])
    (folder / "annotations.xml").write_text(CVAT.format(content))
    with pytest.raises(UserError, match=said) as refused:
        load(folder, tmp_path / "cache")
    assert "annotations.xml" in str(refused.value)


@pytest.mark.parametrize("kind", RESULTS)
def test_label_studio_shapes_with_an_area_are_boxes(tmp_path, kind):
    value, box = RESULTS[kind]
    opened = recognised(studio(tmp_path / "studio", [[result(value)]] * 4), "label_studio", tmp_path)
    assert opened.classes == ("car",)
    assert pixels(opened) == [pytest.approx(box, abs=0.01)] * 4


def test_the_suffix_of_a_label_studio_file_may_be_in_upper_case(tmp_path):
    folder = studio(tmp_path / "studio", [[result(RESULTS["rectangle"][0])]] * 4)
    named = (folder / "project-1.json").rename(folder / "PROJECT-1.JSON")
    assert check(folder).images == check(named).images == 4


@pytest.mark.parametrize(
    ("path", "disk"),
    [
        ("/data/upload/1/1234abcd-{}.jpg", "images/1234abcd-{}.jpg"),
        ("/data/local-files/?d=street/day%201/{}.jpg", "street/day 1/{}.jpg"),
        ("/data/local-files/?d=a%2520b/{}.jpg", "a%20b/{}.jpg"),
        ("/data/local-files/?d=a+b/{}.jpg", "a+b/{}.jpg"),
        ("images/50%20{}.jpg", "images/50%20{}.jpg"),
        ("http://[a/{}.jpg", "images/{}.jpg"),
        ("s3://bucket/street/{}.jpg", "{}.jpg"),
        ("https://host/a%20b/photo%20{}.jpg?token=x", "images/photo {}.jpg"),
    ],
)
def test_label_studio_images_are_found_by_what_the_task_names(tmp_path, path, disk):
    report = check(studio(tmp_path / "studio", [[result(RESULTS["rectangle"][0])]] * 4, path, disk))
    assert (report.images, report.counts, report.error) == (4, {}, None)


def test_label_studios_short_form_is_read(tmp_path):
    folder = studio(tmp_path / "studio", [[]] * 4)
    value = {**RESULTS["rectangle"][0], "original_width": 64, "original_height": 48}
    tasks = [
        {"image": f"/data/upload/1/1234abcd-{n}.jpg", "id": n, "label": [value], "annotator": 1}
        for n in range(4)
    ]
    (folder / "project-1.json").write_text(json.dumps(tasks))
    assert (
        pixels(recognised(folder, "label_studio", tmp_path))
        == [pytest.approx((10, 10, 30, 40), abs=0.01)] * 4
    )


def test_of_several_annotations_the_ground_truth_or_the_last_finished_one_counts(tmp_path):
    folder = studio(tmp_path / "studio", [[]] * 4)
    tasks = json.loads((folder / "project-1.json").read_text())
    right, wrong = ([result({**VALUE, "rectanglelabels": [name]})] for name in ("car", "tram"))
    for number, task in enumerate(tasks):
        task["annotations"] = (
            [{"result": right, "ground_truth": True}, {"result": wrong}]
            if number % 2
            else [{"result": wrong}, {"result": right}, {"result": wrong, "was_cancelled": True}]
        )
    (folder / "project-1.json").write_text(json.dumps(tasks))
    assert load(folder, tmp_path / "cache").classes == ("car",)


CANCELLED = {"was_cancelled": True, "result": [result(RESULTS["rectangle"][0])]}


@pytest.mark.parametrize("named", ["", "project-1.json"])
@pytest.mark.parametrize("annotations", [[], [CANCELLED], [17], None])
def test_a_label_studio_task_that_nobody_labelled_is_no_image_without_objects(tmp_path, annotations, named):
    folder = studio(tmp_path / "studio", [[result(RESULTS["rectangle"][0])]] * 4 + [[]] * 3)
    tasks = json.loads((folder / "project-1.json").read_text())
    for number in (5, 6):
        tasks[number]["annotations"] = annotations
    (folder / "project-1.json").write_text(json.dumps(tasks))
    report = check(folder / named)
    assert (report.images, report.counts, report.error) == (
        5,
        {},
        None,
    )  # task 4 says that its image has no objects
    assert "2 x task without an annotation left out: skipped, or not labelled yet" in report.notes
