"""Whatever images and folders are called and however labels are encoded, no image gets the labels of another."""

import re
import shutil
from pathlib import Path

import pytest
from every_format import ANY, NAMES, PICTURES
from hypothesis import given, settings
from hypothesis import strategies as st
from named_sources import IN_RECORDS, WRITERS, box, class_of

from trainers.datasets import check, formats, load
from trainers.datasets.records.reading import read_images
from trainers.errors import UserError

WORDS = (
    "test",
    "val",
    "train",
    "dev",
    "images",
    "labels",
    "1",
    "01",
    "IMG",
    "Val d'Isère",
    "ß",
    "e\u0301",
    "a.b",
    "x y",
    "%20",
)
STEMS = st.lists(
    st.lists(st.sampled_from(WORDS) | st.text("abcé. -_'()0123", min_size=1, max_size=6), min_size=1, max_size=3)
    .map("_".join)
    .filter(lambda name: name.strip(". ") == name and name),
    min_size=6, max_size=6, unique_by=lambda name: name.casefold(),
)  # fmt: skip
FOLDERS = st.sampled_from([
    ("images", "labels"), ("images/cam0", "labels/cam0"), ("data", "annotations"), ("", ""),
    ("JPEGImages", "Annotations"),
    ("images/test_drive", "labels/test_drive"), ("cam 1/images", "cam 1/labels"),
])  # fmt: skip
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])


def test_every_format_has_its_writer():
    assert set(WRITERS) == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
@given(stems=STEMS, folders=FOLDERS, encoding=ENCODINGS)
@settings(max_examples=12, **ANY)
def test_no_image_ever_has_the_labels_of_another(name, tmp_path_factory, stems, folders, encoding):
    root = tmp_path_factory.getbasetemp() / f"names_{name}"
    shutil.rmtree(root, ignore_errors=True)
    images = {str(Path(folders[0], f"{stem}.{'jpg' if n % 2 else 'JPG'}")): n for n, stem in enumerate(stems)}
    (root / "source").mkdir(parents=True)
    for path, number in images.items() if name not in IN_RECORDS else ():
        (root / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "source" / path).write_bytes(PICTURES[number])
    WRITERS[name](root / "source", images, folders[1], encoding)
    refused = ""
    try:
        opened = load(root / "source", root / "cache")
    except UserError as error:
        refused = str(error)
    if refused:
        assert "\n" not in refused
        assert str(root / "source") in refused
        if encoding != "latin-1":
            assert check(root / "source").affected  # two names that are one on a Mac, say
        else:
            assert formats.named(name).TITLE in refused or re.search(r"\.(txt|pbtxt|yaml)\b", refused)
        return
    records = [record for part in opened.parts.values() for record in read_images(part.files)]
    assert len(records) == 6
    for record in records:
        assert [opened.classes[label - 1] for label in record.labels] == [class_of(name)]
        number = PICTURES.index(record.image)
        assert record.pixel_boxes()[0].tolist() == pytest.approx(box(number), abs=0.01)
