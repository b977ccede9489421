"""Damages that are done to a source of each format, and what is then said of it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import yaml
from labelled_folders import picture

from trainers.datasets.records import tf_example
from trainers.datasets.records.tfrecords import TFRecordWriter, read_record, record_locations


def first(folder: Path, pattern: str) -> Path:
    return sorted(folder.rglob(pattern))[0]


def change_json(file: Path, change: Callable) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    change(document)
    file.write_text(json.dumps(document))


def change_record(file: Path, change: Callable) -> None:
    """Change the features of a file's first record."""
    found = []
    with file.open("rb") as opened:
        found = [tf_example.decode(read_record(opened, place)) for place in record_locations(file)]
    change(found[0])
    with TFRecordWriter(file) as shard:
        for features in found:
            shard.write(tf_example.encode(features))


def image_gone(folder: Path) -> None:
    first(folder, "*.jpg").unlink()


def no_image_in_the_record(folder: Path) -> None:
    change_record(first(folder, "*train*.tfrecord"), lambda features: features.pop("image/encoded"))


def image_is_a_link(folder: Path) -> None:
    image = first(folder, "*.jpg")
    image.unlink()
    image.symlink_to(secret(folder))


def records_are_a_link(folder: Path) -> None:
    file = first(folder, "*train*.tfrecord")
    outside = folder.parent / "elsewhere.tfrecord"
    file.replace(outside)
    file.symlink_to(outside)


def secret(folder: Path) -> Path:
    outside = folder.parent / "secret.jpg"
    outside.write_bytes(picture(999))
    return outside


def coco_image(**fields) -> Callable[[Path], None]:
    return lambda folder: change_json(
        first(folder, "*train*.json"), lambda document: document["images"][0].update(fields)
    )


def bdd_frame(**fields) -> Callable[[Path], None]:
    return lambda folder: change_json(first(folder, "*train*.json"), lambda frames: frames[0].update(fields))


def in_xml(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = first(folder, "*.xml")
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def voc_twice(folder: Path) -> None:
    file = first(folder, "*.xml")
    shutil.copy(file, file.with_name("copy.xml"))


def bdd_twice(folder: Path) -> None:
    change_json(first(folder, "*train*.json"), lambda frames: frames.append(frames[0]))


def coco_twice(folder: Path) -> None:
    change_json(
        first(folder, "*train*.json"), lambda document: document["images"].append(document["images"][0])
    )


def coco_file_twice(folder: Path) -> None:
    def change(document) -> None:
        document["images"].append({**document["images"][0], "id": 10**6})

    change_json(first(folder, "*train*.json"), change)


def coco_without_a_name(folder: Path) -> None:
    change_json(first(folder, "*train*.json"), lambda document: document["categories"][0].update(name=""))


def bdd_without_a_name(folder: Path) -> None:
    change_json(first(folder, "*train*.json"), lambda frames: frames[0]["labels"][0].pop("category"))


def yolo_without_a_name(folder: Path) -> None:
    file = first(folder / "labels", "*.txt")
    file.write_text("7" + file.read_text()[1:])


def yaml_without_a_name(folder: Path) -> None:
    fields = yaml.safe_load((folder / "dataset.yaml").read_text(encoding="utf-8"))
    fields["names"][1] = ""
    (folder / "dataset.yaml").write_text(yaml.safe_dump(fields))


def yaml_list(line: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        secret(folder)
        (folder / "list.txt").write_text(f"{line}\n")
        fields = yaml.safe_load((folder / "dataset.yaml").read_text(encoding="utf-8"))
        (folder / "dataset.yaml").write_text(yaml.safe_dump({**fields, "train": "list.txt"}))

    return change


def label_map_without_a_name(folder: Path) -> None:
    (folder / "label_map.pbtxt").write_text("item { id: 1 }\n")


def waymo_sign(folder: Path) -> None:
    def change(features) -> None:
        features["image/object/class/label"][0] = 3

    change_record(first(folder, "*train*.tfrecord"), change)


def name_is_no_text(folder: Path) -> None:
    image = first(folder, "*.jpg")
    image.rename(image.with_name(os.fsdecode(b"\xff.jpg")))


def records_name_is_no_text(folder: Path) -> None:
    file = first(folder, "*train*.tfrecord")
    file.rename(file.with_name(os.fsdecode(b"segment-\xff.tfrecord")))


def cvat_twice(folder: Path) -> None:
    file = folder / "annotations.xml"
    text = file.read_text(encoding="utf-8")
    one = text[text.index("<image") : text.index("</image>")] + "</image>"
    file.write_text(text.replace("</annotations>", f"{one}</annotations>"), encoding="utf-8")


def cvat_image(name: str) -> Callable[[Path], None]:
    return in_xml('name="train/n0.jpg"', f'name="{name}"')


def change_task(change: Callable) -> Callable[[Path], None]:
    return lambda folder: change_json(folder / "tasks.json", lambda tasks: change(tasks[0]))


def task_twice(folder: Path) -> None:
    change_json(folder / "tasks.json", lambda tasks: tasks.append(tasks[0]))


def task_without_a_name(task: dict) -> None:
    task["annotations"][0]["result"][0]["value"]["rectanglelabels"] = [""]


OUT = "../../secret.jpg"


# how it is done, and what is said of it; True where the source is refused
DAMAGES: dict[str, dict[str, tuple | str]] = {
    "an image that is not there": {
        "tfrecord": (no_image_in_the_record, "corrupt record: no image/encoded"),
        "waymo": (no_image_in_the_record, "corrupt record: no image/encoded"),
        "coco": (image_gone, "missing image: "),
        "bdd100k": (image_gone, "missing image: "),
        "pascal_voc": (image_gone, "missing image: "),
        "yolo": (image_gone, "annotation for a missing image: no image with this name"),
        "dataset_yaml": (image_gone, "missing image: "),
        "cvat": (image_gone, "missing image: "),
        "label_studio": (image_gone, "missing image: "),
    },
    "labels for an image that is not listed": {
        "tfrecord": "labels and image are in one record",
        "waymo": "labels and image are in one record",
        "coco": (coco_image(id=10**6), "annotation for a missing image: 1 annotations refer to image"),
        "bdd100k": "a frame is its image's list",
        "pascal_voc": "an XML file is its image's list",
        "yolo": "a text file is its image's list",
        "dataset_yaml": (coco_image(id=10**6), "annotation for a missing image: 1 annotations refer to"),
        "cvat": "an element is its image's list",
        "label_studio": "a task is its image's list",
    },
    "an image twice": {
        "tfrecord": "a record's name need not be another's",
        "waymo": "frames of a segment have one name",
        "coco": (coco_twice, "duplicate image id: image id 1 is repeated; the second image, n0.jpg, is left out"),
        "bdd100k": (bdd_twice, "image labelled twice: images/100k/train/n0.jpg already has labels in"),
        "pascal_voc": (voc_twice, "image labelled twice: JPEGImages/n0.jpg already has labels in"),
        "yolo": "a file's name is its id",
        "dataset_yaml": (coco_file_twice, "image labelled twice: train/images/train/n0.jpg already has labels in"),
        "cvat": (cvat_twice, "image labelled twice: images/train/n0.jpg already has labels in"),
        "label_studio": (task_twice, "image labelled twice: images/train/n0.jpg already has labels in"),
    },
    "a class without a name": {
        "tfrecord": (label_map_without_a_name, "label_map.pbtxt:1: each item of a label map needs", True),
        "waymo": (waymo_sign, "label 3 is not in Waymo's ids", True),
        "coco": (coco_without_a_name, "category 1 has no name; each category needs an id and a name", True),
        "bdd100k": (bdd_without_a_name, "label without a category: label 0 of images/100k/train/n0.jpg"),
        "pascal_voc": (in_xml("<name>vehicle</name>", "<name> </name>"), "unreadable labels: <object> has no"),
        "yolo": (yolo_without_a_name, "class 7 is not in classes.txt; add its name there", True),
        "dataset_yaml": (yaml_without_a_name, "names: every class needs a different name", True),
        "cvat": (in_xml('label="vehicle"', 'label=""'), "label without a category: a box of images/train/n"),
        "label_studio": (change_task(task_without_a_name), "label without a category: a result of images/train/n0.jpg"),
    },
    "a path that leads out": {
        "tfrecord": "it names no files",
        "waymo": "it names no files",
        "coco": (coco_image(file_name=OUT), "path outside the folder: '../../secret.jpg' is outside"),
        "bdd100k": (bdd_frame(name=OUT), "path outside the folder: '../../secret.jpg' is outside"),
        "pascal_voc": "the image with the name of the XML file is taken",
        "yolo": "labels name no files",
        "dataset_yaml": (yaml_list(OUT), "missing image, in secret.txt: secret.jpg does not exist", True),
        "cvat": (cvat_image(OUT), "path outside the folder: image ../../secret.jpg: '../../secret.jpg' is"),
        "label_studio": (change_task(lambda task: task["data"].update(image=OUT)), "missing image: secret.jpg does not"),
    },
    "a link to outside": {
        "tfrecord": (records_are_a_link, "skipped file: a link out of the folder, to"),
        "waymo": (records_are_a_link, "skipped file: a link out of the folder, to"),
        "coco": (image_is_a_link, "skipped file: a link out of the folder, to"),
        "bdd100k": (image_is_a_link, "skipped file: a link out of the folder, to"),
        "pascal_voc": (image_is_a_link, "skipped file: a link out of the folder, to"),
        "yolo": (image_is_a_link, "skipped file: a link out of the folder, to"),
        "dataset_yaml": (image_is_a_link, "skipped file: a link out of the folder, to"),
        "cvat": (image_is_a_link, "skipped file: a link out of the folder, to"),
        "label_studio": (image_is_a_link, "skipped file: a link out of the folder, to"),
    },
    "a file name that is no text": {
        "tfrecord": (records_name_is_no_text, "skipped file: its name is not UTF-8; rename it"),
        "waymo": (records_name_is_no_text, "skipped file: its name is not UTF-8; rename it"),
        "coco": (name_is_no_text, "skipped file: its name is not UTF-8; rename it"),
        "bdd100k": (name_is_no_text, "skipped file: its name is not UTF-8; rename it"),
        "pascal_voc": (name_is_no_text, "skipped file: its name is not UTF-8; rename it"),
        "yolo": (name_is_no_text, "skipped file: its name is not UTF-8; rename it"),
        "dataset_yaml": (name_is_no_text, "skipped file: its name is not UTF-8; rename it"),
        "cvat": (name_is_no_text, "skipped file: its name is not UTF-8; rename it"),
        "label_studio": (name_is_no_text, "skipped file: its name is not UTF-8; rename it"),
    },
}  # fmt: skip
