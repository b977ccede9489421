"""Whatever images and folders are called and however labels are encoded, no image gets the labels of another."""

import json
import shutil
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from every_format import ANY, PICTURES
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.datasets import check, load
from trainers.datasets.records.reading import read_images
from trainers.errors import UserError

WIDTH, HEIGHT = 64, 48
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
NAMES = st.lists(
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


def box(number: int) -> tuple[int, int, int, int]:
    """ymin, xmin, ymax, xmax: different for each image."""
    return 2 + number, 4 + 2 * number, 30 + number, 44 + number


def write_yolo(root: Path, images: dict[str, int], labels: str, encoding: str) -> None:
    (root / "classes.txt").write_text("café\nbus\n", encoding=encoding)
    for name, number in images.items():
        ymin, xmin, ymax, xmax = box(number)
        centre = ((xmin + xmax) / 2 / WIDTH, (ymin + ymax) / 2 / HEIGHT)
        size = ((xmax - xmin) / WIDTH, (ymax - ymin) / HEIGHT)
        beside = Path(name) if "images" not in Path(name).parts else Path(labels, Path(name).name)
        (root / beside).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{beside}").with_suffix(".txt").write_text(
            f"0 {centre[0]} {centre[1]} {size[0]} {size[1]}\n"
        )


def write_voc(root: Path, images: dict[str, int], labels: str, encoding: str) -> None:
    for name, number in images.items():
        edges = zip(("ymin", "xmin", "ymax", "xmax"), box(number), strict=True)
        xml = (
            f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>\n<annotation><filename>'
            f"{escape(Path(name).name)}</filename><object><name>café</name><bndbox>"
            + "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges)
            + "</bndbox></object></annotation>"
        )
        (root / labels).mkdir(parents=True, exist_ok=True)
        (root / labels / f"{Path(name).stem}.xml").write_text(
            xml, encoding=encoding, errors="xmlcharrefreplace"
        )


def write_coco(root: Path, images: dict[str, int], labels: str, encoding: str) -> None:
    objects = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": [xmin, ymin, xmax - xmin, ymax - ymin]}
        for n in images.values()
        for ymin, xmin, ymax, xmax in (box(n),)
    ]
    document = {
        "images": [{"id": n, "file_name": Path(name).name} for name, n in images.items()],
        "annotations": objects,
        "categories": [{"id": 1, "name": "café"}, {"id": 2, "name": "bus"}],
    }
    text = json.dumps(document, ensure_ascii=False).encode(encoding, "backslashreplace")
    (root / "labels.json").write_bytes(text)


def write_cvat(root: Path, images: dict[str, int], labels: str, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>\n<annotations><version>1.1</version>'
    for name, number in images.items():
        ymin, xmin, ymax, xmax = box(number)
        text += f'<image id="{number}" name={quoteattr(Path(name).name)} width="{WIDTH}" height="{HEIGHT}">'
        text += f'<box label="café" xtl="{xmin}" ytl="{ymin}" xbr="{xmax}" ybr="{ymax}"/></image>\n'
    (root / "annotations.xml").write_text(
        text + "</annotations>", encoding=encoding, errors="xmlcharrefreplace"
    )


WRITERS = {"yolo": write_yolo, "pascal_voc": write_voc, "coco": write_coco, "cvat": write_cvat}


@pytest.mark.parametrize("name", WRITERS)
@given(stems=NAMES, folders=FOLDERS, encoding=ENCODINGS)
@settings(max_examples=12, **ANY)
def test_no_image_ever_has_the_labels_of_another(name, tmp_path_factory, stems, folders, encoding):
    root = tmp_path_factory.getbasetemp() / f"names_{name}"
    shutil.rmtree(root, ignore_errors=True)
    images = {str(Path(folders[0], f"{stem}.{'jpg' if n % 2 else 'JPG'}")): n for n, stem in enumerate(stems)}
    for path, number in images.items():
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
        assert encoding in ("utf-16", "latin-1") or check(root / "source").affected
        return
    records = [record for part in opened.parts.values() for record in read_images(part.files)]
    assert len(records) == 6
    for record in records:
        assert [opened.classes[label - 1] for label in record.labels] == ["café"]
        number = PICTURES.index(record.image)
        assert record.pixel_boxes()[0].tolist() == pytest.approx(box(number), abs=0.01)
