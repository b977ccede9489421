"""The contract of a format's reader: whatever is wrong with labels is counted and named, or refused in one line.

A new format joins by being registered, and by a row in each table of DAMAGES: how it is done to it, or why it cannot be.
"""

import json
import tracemalloc
from xml.sax.saxutils import escape

import pytest
from damaged_sources import DAMAGES, bdd_frame, coco_image, in_xml
from every_format import ANY, NAMES, PICTURES, checked, checked_image, written
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.datasets.formats.recognition import recognise
from trainers.datasets.opening import open_dataset
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.reading import read_images
from trainers.errors import UserError


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_format_has_its_row(damage):
    assert set(DAMAGES[damage]) == set(NAMES)


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (damage, name)
        for damage, rows in DAMAGES.items()
        for name, row in rows.items()
        if isinstance(row, tuple)
    ],
)
def test_what_is_wrong_with_a_source_is_named_and_what_is_outside_is_not_read(damage, name, tmp_path):
    do, said, *refused = DAMAGES[damage][name]
    folder = written(
        name, tmp_path / "source", [checked_image(number, [(4, 8, 40, 60)]) for number in range(27)]
    )
    do(folder)
    if refused:
        with pytest.raises(UserError) as error:
            open_dataset(str(folder), tmp_path / "cache")
        assert said in str(error.value)
        assert "\n" not in str(error.value)
        assert not (tmp_path / "cache").exists()
        return
    heard, _, _ = checked(folder)
    opened = open_dataset(str(folder), tmp_path / "cache")
    assert any(said in str(problem) for problem in heard)
    assert any(f"1 x {said.split(': ')[0]}, in " in note for note in opened.notes)
    images = {one.image for part in opened.parts.values() for one in read_images(part.files)}
    assert images <= set(PICTURES)
    assert len(images) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coco", "bdd100k", "pascal_voc"])
@given(called=st.text(max_size=40) | st.sampled_from(["a" * 300, "a/" * 2000, "a\0b", "~root", "con:"]))
@settings(max_examples=25, **ANY)
def test_whatever_an_image_is_called_nothing_else_happens_than_that_it_is_missing(
    name, tmp_path_factory, called
):
    folder = tmp_path_factory.getbasetemp() / f"called_{name}" / "source"
    written(name, folder, [checked_image(number, [(4, 8, 40, 60)]) for number in range(5)])
    rename = {
        "coco": coco_image(file_name=called),
        "bdd100k": bdd_frame(name=called),
        "pascal_voc": in_xml("<filename>n0.jpg", f"<filename>{escape(called)}"),
    }
    rename[name](folder)
    heard: list[Problem] = []
    message = ""
    try:
        heard, _, _ = checked(folder)
    except UserError as error:
        message = str(error)
    assert not [line for line in (message, *map(str, heard)) if "\n" in line]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coco", "bdd100k"])
def test_labels_are_read_in_a_memory_that_is_little_beside_their_file(name, tmp_path, monkeypatch):
    monkeypatch.setattr("trainers.datasets.files.streamed_json._CHUNK", 20_000)
    images, shape = 1500, [[1.5] * 500]
    if name == "coco":
        document = {
            "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(images)],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 1, "bbox": [4, 8, 9, 9], "segmentation": shape}
                for i in range(images)
            ],
            "categories": [{"id": 1, "name": "vehicle"}],
        }
    else:
        box = {"x1": 4, "y1": 8, "x2": 13, "y2": 17}
        document = [
            {"name": f"{i}.jpg", "labels": [{"category": "car", "box2d": box, "poly2d": shape}]}
            for i in range(images)
        ]
    (tmp_path / "labels.json").write_text(json.dumps(document))
    del document
    known = recognise(tmp_path).format
    assert name == known.NAME
    tracemalloc.start()
    source = known.read(tmp_path, Problems(str(tmp_path)))
    count = sum(len(image.boxes) for image in source.images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == images
    assert peak < (tmp_path / "labels.json").stat().st_size / 5


def test_a_record_called_like_a_file_elsewhere_is_converted_into_the_folder(tmp_path):
    one = checked_image(0, [(4, 8, 40, 60)])
    for name in NAMES:
        fields = {**vars(one), "name": "../../../evil.jpg"}
        written(name, tmp_path / "deep" / name, [CheckedImage(**fields), checked_image(1, [(4, 8, 40, 60)])])
    assert not list(tmp_path.glob("evil*"))
    assert not list((tmp_path / "deep").glob("evil*"))
