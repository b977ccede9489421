"""Pascal VOC finds its images in every usual layout of folders, and reports what could be several images."""

import unicodedata
from pathlib import Path

import pytest
from labelled_folders import picture

from trainers.datasets import check
from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images

XML = (
    "<annotation><folder>x</folder><filename>{}</filename><size><width>64</width><height>48</height></size>"
    "<object><name>car</name><difficult>{}</difficult><bndbox><xmin>10</xmin><ymin>10</ymin><xmax>40</xmax>"
    "<ymax>30</ymax></bndbox></object></annotation>"
)


def write(root: Path, image: str, xml: str, stated: str, number: int, difficult: str = "0") -> None:
    """An image and its XML file at two paths below `root`."""
    for path, content in ((image, picture(number)), (xml, XML.format(stated, difficult).encode())):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


LAYOUTS = {
    "side by side": ("{n}.jpg", "{n}.xml", "{n}.jpg"),
    "the devkit": ("VOC2012/JPEGImages/{n}.jpg", "VOC2012/Annotations/{n}.xml", "{n}.jpg"),
    "FiftyOne": ("data/{n}.jpg", "labels/{n}.xml", "{n}.jpg"),
    "CVAT, with the folder": ("JPEGImages/cam{c}/{n}.jpg", "Annotations/cam{c}/{n}.xml", "cam{c}/{n}.jpg"),
    "CVAT, without it": ("JPEGImages/cam{c}/{n}.jpg", "Annotations/cam{c}/{n}.xml", "{n}.jpg"),
    "folders in the name alone": ("JPEGImages/cam{c}/{n}.jpg", "Annotations/{n}.xml", "cam{c}/{n}.jpg"),
    "parts below images and labels": ("images/part{c}/{n}.jpg", "labels/part{c}/{n}.xml", "{n}.jpg"),
    "parts above images and labels": ("part{c}/images/{n}.jpg", "part{c}/labels/{n}.xml", "{n}.jpg"),
    "labels below the images": ("photos/{n}.jpg", "photos/xml/{n}.xml", "{n}.jpg"),
    "images in folders, labels in one": ("images/a{c}/b/{n}.jpg", "annotations/{n}.xml", "{n}.jpg"),
    "any name beside annotations": ("Fotos 2024/{n}.jpg", "annotations_xml/{n}.xml", "{n}.jpg"),
    "Windows": ("{n}.jpg", "{n}.xml", "C:\\Users\\me\\photos\\{n}.jpg"),
    "a Windows share": ("images/{n}.jpg", "xml/{n}.xml", "\\\\server\\share\\{n}.jpg"),
    "Linux, of another machine": ("images/{n}.jpg", "labels/{n}.xml", "/home/me/cars/{n}.jpg"),
    "above": ("images/{n}.jpg", "labels/{n}.xml", "../images/{n}.jpg"),
    "no suffix": ("images/{n}.jpg", "labels/{n}.xml", "{n}"),
    "no name": ("images/{n}.jpg", "labels/{n}.xml", ""),
    "another suffix": ("images/{n}.jpg", "labels/{n}.xml", "{n}.png"),
    "another case": ("images/IMG_{n}.JPG", "labels/img_{n}.xml", "img_{n}.jpg"),
    "renamed": ("images/{n}.jpg", "labels/{n}.xml", "before_{n}.jpg"),
    "decomposed": (unicodedata.normalize("NFD", "images/é{n}.jpg"), "xml/é{n}.xml", "é{n}.jpg"),
    "masks of the same name": ("JPEGImages/{n}.jpg", "Annotations/{n}.xml", ""),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_image_is_found_wherever_it_is(tmp_path, layout):
    root = tmp_path / "voc"
    for n in range(6):
        image, xml, stated = (text.format(n=n, c=n % 2) for text in LAYOUTS[layout])
        write(root, image, xml, stated, n)
    if layout.startswith("masks"):
        (root / "SegmentationClass").mkdir()
        (root / "SegmentationClass" / "0.png").write_bytes(picture(9, kind="PNG"))
    report = check(root)
    assert (report.images, report.affected, report.counts) == (6, 0, {})
    opened = open_dataset(str(root), tmp_path / "cache")
    found = {record.image: record for part in opened.parts.values() for record in read_images(part.files)}
    assert set(found) == {picture(n) for n in range(6)}
    assert [found[picture(0)].pixel_boxes().round(3).tolist()] == [[[10, 10, 30, 40]]]


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ([("a/1.jpg", "a/1.xml", "2.jpg"), ("a/2.jpg", "b/other.xml", "other.jpg")], "ambiguous image name"),
        ([("cam0/x.jpg", "cam0/1.xml", "1.jpg"), ("cam1/1.jpg", "cam1/y.xml", "y.jpg")], "missing image"),
        (
            [("raw/1.jpg", "labels/1.xml", "1.jpg"), ("small/1.jpg", "labels/z.xml", "z.jpg")],
            "ambiguous image name",
        ),
        (
            [("train/a.jpg", "train/xml/1.xml", "1.jpg"), ("val/1.jpg", "val/xml/b.xml", "b.jpg")],
            "missing image",
        ),
        (
            [("a.jpg", "1.xml", ""), ("1.jpg", "b.xml", "b.jpg"), ("1.png", "c.xml", "")],
            "ambiguous image name",
        ),
    ],
)
def test_no_image_is_guessed(tmp_path, files, kind):
    others = [(f"more/x{n}.jpg", f"more/x{n}.xml", f"x{n}.jpg") for n in range(3)]
    for number, (image, xml, stated) in enumerate((*files, *others)):
        write(tmp_path, image, xml, stated, number)
    found = {problem.where.split("/")[-1]: problem.kind for problem in check(tmp_path).problems}
    assert found["1.xml"] == kind


LISTS = {
    "names with spaces": "IMG {n}",
    "names with suffixes": "IMG {n}.jpg",
    "flags": "IMG {n} -1",
    "paths": "JPEGImages/IMG {n}.jpg",
    "Windows paths": ".\\JPEGImages\\IMG {n}.jpg",
    "paths of another machine": "/home/me/voc/JPEGImages/IMG {n}.jpg",
    "pairs": "JPEGImages/IMG {n}.jpg Annotations/IMG {n}.xml",
}


@pytest.mark.parametrize("line", LISTS)
@pytest.mark.parametrize("place", ["ImageSets/Main/{}.txt", "ImageSets/{}.txt", "{}.txt", "{}_list.txt"])
def test_lists_of_images_give_the_parts(tmp_path, line, place):
    root = tmp_path / "voc"
    for n in range(9):
        write(root, f"JPEGImages/IMG {n}.jpg", f"Annotations/IMG {n}.xml", f"IMG {n}.jpg", n)
    for part, numbers in (("train", range(5)), ("val", range(5, 8)), ("test", [8])):
        (root / place.format(part)).parent.mkdir(parents=True, exist_ok=True)
        lines = [LISTS[line].format(n=n) for n in numbers]
        (root / place.format(part)).write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    opened = open_dataset(str(root), tmp_path / "cache")
    assert {name: part.images for name, part in opened.parts.items()} == {
        "train": 5,
        "validation": 3,
        "test": 1,
    }
    assert opened.notes == ()


def test_lists_that_fit_no_image_or_repeat_one_are_named(tmp_path):
    for n in range(4):
        write(tmp_path, f"{n}.jpg", f"{n}.xml", f"{n}.jpg", n)
    (tmp_path / "train.txt").write_text("0\n1\n2\nphoto 7\n")
    (tmp_path / "val.txt").write_text("2\n3\n")
    report = check(tmp_path)
    assert report.error is None
    assert [str(problem) for problem in report.problems] == [
        "train.txt: listed without labels: 1 names without a labelled image, such as photo 7",
        "val.txt: image in two lists: 2 is in the list of train too; it is used for this one",
    ]


@pytest.mark.parametrize(
    ("text", "difficult"),
    [("0", False), ("1", True), ("true", True), ("False", False), ("Unspecified", False), ("", False)],
)
def test_an_object_is_difficult_only_if_it_is_said_to_be(tmp_path, text, difficult):
    for n in range(2):
        write(tmp_path / "voc", f"{n}.jpg", f"{n}.xml", f"{n}.jpg", n, text)
    opened = open_dataset(str(tmp_path / "voc"), tmp_path / "cache")
    assert {record.difficult for record in read_images(opened.train.files)} == {(difficult,)}
