"""The contract of a format: what its writer wrote, its reader finds, to the byte of every image and within a pixel."""

import numpy as np
import pytest
from labelled_folders import picture

from trainers.datasets import formats
from trainers.datasets.formats.recognition import recognise
from trainers.datasets.opening import open_dataset
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.reading import read_images

NAMES = [known.NAME for known in formats.all_formats()]
ANY_CLASSES = ("пешеход", "traffic light", "vélo 🚲")
CLASSES = {"waymo": ("vehicle", "pedestrian", "cyclist")}
PARTS = {"train": 20, "validation": 7, "test": 3}


def records(part: str) -> list[CheckedImage]:
    made = []
    for number in range(PARTS[part]):
        draw = np.random.default_rng([number, PARTS[part]])
        width, height = (64, 48) if number % 3 else (40, 80)
        kind = "PNG" if number % 5 == 4 else "JPEG"
        data = picture(number * 100 + PARTS[part], width, height, kind=kind)
        corners = np.sort(draw.uniform(0, 1, (number % 4, 2, 2)), axis=1) * 0.8
        corners[:, 1] += 0.2  # boxes of some size
        labels = tuple(int(label) for label in draw.integers(1, 4, number % 4))
        made.append(
            CheckedImage(
                name=f"street {part}/café {number}.{'png' if kind == 'PNG' else 'jpg'}",
                image=data,
                format=kind.lower(),
                width=width,
                height=height,
                boxes=corners.reshape(-1, 4).astype(np.float32),
                labels=labels,
                difficult=(False,) * len(labels),
                crowd=(False,) * len(labels),
            )
        )
    return made


def objects(record: CheckedImage, classes) -> list[tuple]:
    """Its boxes in pixels with their names, in a fixed order."""
    named = [classes[label - 1] for label in record.labels]
    return sorted(zip(named, record.pixel_boxes().round(1).tolist(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_thirty_images_come_back_as_they_were_written(name, tmp_path):
    classes = CLASSES.get(name, ANY_CLASSES)
    folder = tmp_path / "written"
    folder.mkdir()
    formats.named(name).write(folder, classes, {part: iter(records(part)) for part in PARTS})
    assert name == recognise(folder).format.NAME or (name, recognise(folder).format.NAME) == (
        "yolo",
        "dataset_yaml",
    )
    opened = open_dataset(str(folder), tmp_path / "cache")
    assert sorted(opened.classes) == sorted(classes)
    assert {part: its.images for part, its in opened.parts.items()} == PARTS
    for part, its in opened.parts.items():
        back = {record.image: record for record in read_images(its.files)}
        for record in records(part):
            found = back[record.image]
            assert (found.width, found.height, found.format) == (record.width, record.height, record.format)
            expected = objects(record, classes)
            assert [kind for kind, _ in objects(found, opened.classes)] == [kind for kind, _ in expected]
            for (_, box), (_, wanted) in zip(objects(found, opened.classes), expected, strict=True):
                assert box == pytest.approx(wanted, abs=1)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_images_written_twice_have_the_same_fingerprint_anywhere(name, tmp_path):
    classes = CLASSES.get(name, ANY_CLASSES)
    fingerprints = set()
    for place in ("here", "there"):
        folder = tmp_path / place
        folder.mkdir()
        formats.named(name).write(
            folder, classes, {"train": records("train"), "validation": records("validation")}
        )
        fingerprints.add(open_dataset(str(folder), tmp_path / "cache").fingerprint)
    assert len(fingerprints) == 1


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(formats.UserError, match="coco"):
        formats.named("voc2")
