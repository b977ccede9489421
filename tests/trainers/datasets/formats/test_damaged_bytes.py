"""Label files with wrong bytes: read or refused in one line, in every format."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelled_folders import picture

from trainers.datasets import check, formats
from trainers.datasets.opening import open_dataset
from trainers.datasets.records.checked_image import CheckedImage
from trainers.errors import UserError

CLASSES = ("vehicle", "pedestrian", "cyclist")


LABELS = {
    "tfrecord": "*.pbtxt", "waymo": "segment-*", "coco": "*.json", "bdd100k": "*.json", "pascal_voc": "*.xml",
    "yolo": "*.txt", "dataset_yaml": "*.yaml", "cvat": "*.xml", "label_studio": "tasks.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    """A small folder of each format."""

    def checked_image(number: int) -> CheckedImage:
        boxes = np.array([[0.1, 0.2, 0.5, 0.6]], np.float32)
        return CheckedImage(
            f"{number}.jpg", picture(number), "jpeg", 64, 48, boxes, (number % 3 + 1,), (False,), (False,)
        )

    folders = {}
    for known in formats.all_formats():
        folders[known.NAME] = tmp_path_factory.mktemp(known.NAME)
        parts = {"train": map(checked_image, range(4)), "validation": map(checked_image, range(4, 7))}
        known.write(folders[known.NAME], CLASSES, parts)
    (folders["yolo"] / "data.yaml").unlink()  # which would be read as a dataset YAML
    return folders


def damaged(source: Path, target: Path, pattern: str, data) -> Path:
    """A copy of `source` in which some bytes of one file of labels are others, or gone."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    file = data.draw(st.sampled_from(sorted(target.rglob(pattern))))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at : at + 1] = data.draw(st.binary(max_size=4))
        else:
            del content[at : at + data.draw(st.integers(1, 40))]
        content = content or bytearray(b"\0")
    file.write_bytes(content)
    return target


def survives(name: str, source: Path, folder: Path, data) -> None:
    copy, message = damaged(source, folder / "copy", LABELS[name], data), ""
    try:
        check(copy, on_problem=str)
        opened = open_dataset(str(copy), folder / "cache")
        assert opened.train.images > 0
    except UserError as error:
        message = str(error)
    finally:
        shutil.rmtree(folder / "cache", ignore_errors=True)
    assert "\n" not in message


@pytest.mark.slow
@pytest.mark.parametrize("name", LABELS)
@given(data=st.data())
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_labels_are_read_or_refused_and_nothing_else(name, written, tmp_path_factory, data):
    survives(name, written[name], tmp_path_factory.getbasetemp() / f"damaged_{name}", data)


@pytest.mark.slow
@pytest.mark.parametrize("name", LABELS)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_labels_damaged_in_many_ways_are_read_or_refused_and_nothing_else(
    name, written, tmp_path_factory, data
):
    survives(name, written[name], tmp_path_factory.getbasetemp() / f"many_{name}", data)


def test_every_format_is_damaged():
    assert set(LABELS) == {known.NAME for known in formats.all_formats()}
