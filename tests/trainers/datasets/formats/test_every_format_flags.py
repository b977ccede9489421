"""Crowds, difficult objects and weights in every format: written and read again, or left out and counted, never lost."""

import numpy as np
import pytest
from every_format import CLASSES, HEIGHT, NAMES, PICTURES, WIDTH

from trainers.datasets import convert, formats, load
from trainers.datasets.formats import tfrecord
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.reading import read_images

# of each image: an ordinary object, a crowd, a difficult one, one of weight 0 and one of weight 0.5
EDGES = [(0, 0, 8, 8), (0, 16, 8, 24), (0, 32, 8, 40), (16, 0, 24, 8), (16, 16, 24, 24)]
PLAIN, CROWD, DIFFICULT, UNWEIGHTED, HALF = (tuple(map(float, edges)) for edges in EDGES)
ORDINARY = (False, False, 1.0)
AS_READ = {
    "tfrecord": {
        PLAIN: ORDINARY, CROWD: (True, False, 1.0), DIFFICULT: (False, True, 1.0), UNWEIGHTED: (False, False, 0.0),
        HALF: (False, False, 0.5),
    },
    "coco": {
        PLAIN: ORDINARY, CROWD: (True, False, 1.0), DIFFICULT: (False, True, 1.0), UNWEIGHTED: (True, False, 1.0),
        HALF: ORDINARY,
    },
    "bdd100k": {
        PLAIN: ORDINARY, CROWD: (True, False, 1.0), DIFFICULT: ORDINARY, UNWEIGHTED: (True, False, 1.0), HALF: ORDINARY,
    },
    "cvat": {PLAIN: ORDINARY, DIFFICULT: (False, True, 1.0), HALF: ORDINARY},
    "yolo": {PLAIN: ORDINARY, DIFFICULT: ORDINARY, HALF: ORDINARY},
}  # fmt: skip
AS_READ |= {"waymo": AS_READ["tfrecord"], "dataset_yaml": AS_READ["coco"], "pascal_voc": AS_READ["cvat"]}
AS_READ |= {"label_studio": AS_READ["yolo"]}
CROWD_NOTE = "10 x crowd left out: {} cannot state it, and its place counts as background"
OUT_NOTE = "10 x object of weight 0 left out: {} has no weights, and its place counts as background"
AS_CROWD_NOTE = "10 x object of weight 0 written as a crowd: {} has no weights; neither is trained on"
WEIGHT_NOTE = "10 x weight of an object left out: {} has none, and it counts as any other"
DIFFICULT_NOTE = "10 x difficult object written as any other: {} cannot state it, and evaluation counts it"
NOTES = {
    "tfrecord": [],
    "waymo": [],
    "coco": [AS_CROWD_NOTE, WEIGHT_NOTE],
    "dataset_yaml": [AS_CROWD_NOTE, WEIGHT_NOTE],
    "bdd100k": [AS_CROWD_NOTE, WEIGHT_NOTE, DIFFICULT_NOTE],
    "cvat": [CROWD_NOTE, OUT_NOTE, WEIGHT_NOTE],
    "pascal_voc": [CROWD_NOTE, OUT_NOTE, WEIGHT_NOTE],
    "yolo": [CROWD_NOTE, OUT_NOTE, WEIGHT_NOTE, DIFFICULT_NOTE],
    "label_studio": [CROWD_NOTE, OUT_NOTE, WEIGHT_NOTE, DIFFICULT_NOTE],
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Ten images as TFRecord files, which can state all of it."""
    folder = tmp_path_factory.mktemp("source")
    boxes = np.array(EDGES, np.float32) / np.array([HEIGHT, WIDTH, HEIGHT, WIDTH], np.float32)
    images = [
        CheckedImage(
            f"{number}.jpg", PICTURES[number], "jpeg", WIDTH, HEIGHT, boxes, (1, 2, 3, 1, 2),
            difficult=(False, False, True, False, False), crowd=(False, True, False, False, False),
            areas=(10.0, 20.0, 30.0, 40.0, 50.0), weights=(1.0, 1.0, 1.0, 0.0, 0.5),
        )
        for number in range(10)
    ]  # fmt: skip
    tfrecord.write(folder, CLASSES, {"train": images[:8], "validation": images[8:]})
    return folder


@pytest.mark.parametrize("to", NAMES)
def test_what_a_format_cannot_state_of_an_object_is_counted_and_makes_no_other_object_of_it(
    source, to, tmp_path
):
    converted = convert(source, to, tmp_path / "out")
    dataset = load(tmp_path / "out", tmp_path / "cache")
    records = [record for part in dataset.parts.values() for record in read_images(part.files)]
    assert len(records) == 10
    for record in records:
        weights = record.weights or (1.0,) * len(record.labels)
        flags = zip(record.crowd, record.difficult, weights, strict=True)
        places = [tuple(row) for row in record.pixel_boxes().round().tolist()]
        assert dict(zip(places, flags, strict=True)) == AS_READ[to]
        assert record.areas in ((), (10, 20, 30, 40, 50))
    title = formats.named(to).TITLE
    assert [note for note in converted.notes if "left out" in note or "written as" in note] == [
        note.format(title) for note in NOTES[to]
    ]


def test_every_format_is_known_here():
    assert set(NAMES) == set(AS_READ) == set(NOTES)
