"""A small source of each format, with given names of files and folders, and labels in a given encoding.

A new format joins by a writer in WRITERS. A writer gets the folder of the source, in which the pictures already are, the
path of each and its number, the folder for label files of one image, and the encoding of text. It labels each picture
with one box, `box(number)`, of the class `class_of(format)`. Formats of IN_RECORDS have no pictures beside them.
"""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import yaml
from every_format import HEIGHT, PICTURES, WIDTH

from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.tfrecords import TFRecordWriter

CLASS = "café"


def class_of(name: str) -> str:
    """The class of all boxes; Waymo has three of its own."""
    return "vehicle" if name == "waymo" else CLASS


def box(number: int) -> tuple[int, int, int, int]:
    """ymin, xmin, ymax, xmax: different for each image."""
    return 2 + number, 4 + 2 * number, 30 + number, 44 + number


def write_yolo(root: Path, images: dict[str, int], labels: str, encoding: str) -> None:
    (root / "classes.txt").write_text(f"{CLASS}\nbus\n", encoding=encoding)
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
            f"{escape(Path(name).name)}</filename><object><name>{CLASS}</name><bndbox>"
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
        "categories": [{"id": 1, "name": CLASS}, {"id": 2, "name": "bus"}],
    }
    text = json.dumps(document, ensure_ascii=False).encode(encoding, "backslashreplace")
    (root / "labels.json").write_bytes(text)


def write_cvat(root: Path, images: dict[str, int], labels: str, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>\n<annotations><version>1.1</version>'
    for name, number in images.items():
        ymin, xmin, ymax, xmax = box(number)
        text += f'<image id="{number}" name={quoteattr(Path(name).name)} width="{WIDTH}" height="{HEIGHT}">'
        text += f'<box label="{CLASS}" xtl="{xmin}" ytl="{ymin}" xbr="{xmax}" ybr="{ymax}"/></image>\n'
    (root / "annotations.xml").write_text(
        text + "</annotations>", encoding=encoding, errors="xmlcharrefreplace"
    )


def write_bdd100k(root: Path, images: dict[str, int], labels: str, encoding: str) -> None:
    frames = [
        {
            "name": Path(name).name,
            "attributes": {"scene": CLASS},
            "labels": [
                {
                    "id": "0",
                    "category": CLASS,
                    "box2d": dict(zip(("y1", "x1", "y2", "x2"), box(n), strict=True)),
                }
            ],
        }
        for name, n in images.items()
    ]
    (root / "frames.json").write_bytes(
        json.dumps(frames, ensure_ascii=False).encode(encoding, "backslashreplace")
    )


def write_label_studio(root: Path, images: dict[str, int], labels: str, encoding: str) -> None:
    """Half of the images are named by the address that Label Studio gives to a local file, half by their path."""
    tasks = []
    for name, number in images.items():
        ymin, xmin, ymax, xmax = (
            100 * edge / side for edge, side in zip(box(number), (HEIGHT, WIDTH) * 2, strict=True)
        )
        value = {
            "x": xmin,
            "y": ymin,
            "width": xmax - xmin,
            "height": ymax - ymin,
            "rectanglelabels": [CLASS],
        }
        address = name if number % 2 else f"/data/local-files/?d={quote(name)}"
        result = {
            "original_width": WIDTH,
            "original_height": HEIGHT,
            "value": value,
            "type": "rectanglelabels",
        }
        tasks.append({"id": number, "data": {"image": address}, "annotations": [{"result": [result]}]})
    (root / "tasks.json").write_bytes(
        json.dumps(tasks, ensure_ascii=False).encode(encoding, "backslashreplace")
    )


def record(name: str, number: int, classes: tuple[str, ...], ids: list[int] | None = None) -> bytes:
    fractions = np.array([box(number)], np.float64) / [HEIGHT, WIDTH, HEIGHT, WIDTH]
    no = (False,)
    image = CheckedImage(
        Path(name).name, PICTURES[number], "jpeg", WIDTH, HEIGHT, fractions.astype(np.float32), (1,), no, no
    )
    return image.encode(classes, ids)


def write_tfrecord(root: Path, images: dict[str, int], labels: str, encoding: str) -> None:
    """A file of three images under each of the first names, and a label map."""
    (root / "map.pbtxt").write_text(f"item {{\n  id: 7\n  name: '{CLASS}'\n}}\n", encoding=encoding)
    some = list(images.items())
    for first in range(0, len(some), 3):
        file = (root / some[first][0]).with_suffix(".tfrecord")
        file.parent.mkdir(parents=True, exist_ok=True)
        with TFRecordWriter(file) as shard:
            for name, number in some[first : first + 3]:
                shard.write(record(name, number, (CLASS,), [7]))


def write_waymo(root: Path, images: dict[str, int], labels: str, encoding: str) -> None:
    for name, number in images.items():
        file = (root / name).with_name(f"segment-{Path(name).stem}_with_camera_labels.tfrecord")
        file.parent.mkdir(parents=True, exist_ok=True)
        with TFRecordWriter(file) as shard:
            shard.write(record(name, number, ("vehicle",)))


def write_dataset_yaml(root: Path, images: dict[str, int], labels: str, encoding: str) -> None:
    write_yolo(root, images, labels, encoding)
    (root / "classes.txt").unlink()
    fields = {"train": str(Path(next(iter(images))).parent), "names": [CLASS, "bus"]}
    (root / "data.yaml").write_text(yaml.safe_dump(fields, allow_unicode=True), encoding=encoding)


WRITERS: dict[str, Callable[[Path, dict[str, int], str, str], None]] = {
    "dataset_yaml": write_dataset_yaml,
    "waymo": write_waymo,
    "tfrecord": write_tfrecord,
    "coco": write_coco,
    "label_studio": write_label_studio,
    "bdd100k": write_bdd100k,
    "cvat": write_cvat,
    "pascal_voc": write_voc,
    "yolo": write_yolo,
}
IN_RECORDS = ("tfrecord", "waymo")
