"""Small sources in the shapes that people's tools leave behind: each has its right value through every command."""

from pathlib import Path
from typing import NamedTuple

import pytest

from trainers.datasets import check, convert, describe, formats, load
from trainers.datasets.dataset import Dataset, Part
from trainers.datasets.formats import bdd100k
from trainers.datasets.label_map import write_label_map
from trainers.datasets.records.reading import read_images
from trainers.datasets.records.tfrecords import TFRecordWriter, read_record, record_locations
from trainers.errors import UserError

WRITABLE = [
    known.NAME for known in formats.all_formats() if known.NAME != "waymo"
]  # which has classes of its own


class Right(NamedTuple):
    """images, boxes: in all parts. train: images to train on. said: in a note. refused: in the error.

    where: the boxes, each [ymin, xmin, ymax, xmax] in pixels.
    """

    images: int = 40
    boxes: int = 40
    train: int = 32
    classes: tuple[str, ...] = ("car",)
    said: str = ""
    refused: str = ""
    where: frozenset[tuple] = frozenset({(10.0, 10.0, 30.0, 40.0)})


# yellow rectangles at [10, 10, 30, 20] (x, y, width, height) on 64x48 pixels
CASES = {
    "D01": Right(classes=("bus", "car")),
    "D02": Right(classes=("plate",), said="key points are left out"),
    "D02b": Right(classes=("plate",), said="key points are left out"),
    "D03": Right(),
    "D04": Right(),
    "D06": Right(),
    "D06b": Right(),
    "D07": Right(),
    "D08": Right(train=30),
    "D09": Right(classes=("day", "night"), where=frozenset({(5.0, 5.0, 25.0, 25.0), (15.0, 25.0, 35.0, 45.0)})),
    "D10": Right(train=30, classes=("CLASS_A", "CLASS_B", "CLASS_C")),
    "D14": Right(said="split by image"),
    "D14b": Right(images=50, boxes=50, train=40, said="split by image"),
    "D14c": Right(said="split by image"),
    "D15": Right(classes=("bus", "car")),
    "D15b": Right(classes=("bus", "car")),
    "D15c": Right(classes=("bus", "car")),
    "D17": Right(refused="15 of 40 images have problems, more than the limit of 5%: 15 x labels in another format"),
    "D18": Right(
        images=8, boxes=8, train=6, classes=("person",),
        said="32 of 40 images have no labels in COCO JSON and are left out",
    ),
    "D28": Right(),
}  # fmt: skip


def source(case: str) -> Path:
    folder = Path(__file__).parents[4].parent / "shared" / "cases" / case
    if not folder.is_dir():
        pytest.skip("the cases (../shared/cases) are not here")
    (inner,) = folder.iterdir()
    return inner


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Loads a case, once for all tests."""
    cache, known = tmp_path_factory.mktemp("cases"), {}

    def open_case(case: str) -> Dataset:
        if case not in known:
            known[case] = load(source(case), cache)
        return known[case]

    return open_case


def rows(dataset: Dataset) -> list[tuple]:
    """(image, class, box in pixels, difficult) of every object."""
    return sorted(
        (record.image_sha256, dataset.classes[label - 1], tuple(box), difficult)
        for part in dataset.parts.values()
        for record in read_images(part.files)
        for label, box, difficult in zip(
            record.labels, record.pixel_boxes().round(0).tolist(), record.difficult, strict=True
        )
    )


READ = [case for case, right in CASES.items() if not right.refused]


@pytest.mark.parametrize("case", CASES)
def test_check_gives_the_right_value(case):
    right = CASES[case]
    report = check(source(case))
    assert (right.refused in report.error) if right.refused else report.error is None
    if not right.refused:
        assert (report.images, report.affected) == (right.images, 0)
        assert any(right.said in note for note in (*report.notes, ""))


@pytest.mark.parametrize("case", READ)
def test_describe_gives_the_right_value(case, opened):
    right, described = CASES[case], describe(opened(case))
    parts = described.parts.values()
    assert (sum(p.images for p in parts), sum(p.boxes for p in parts)) == (right.images, right.boxes)
    assert described.parts["train"].images == right.train
    assert described.dataset.classes == right.classes
    assert {tuple(box) for _, _, box, _ in rows(opened(case))} == right.where
    assert not any(difficult for _, _, _, difficult in rows(opened(case)))


@pytest.mark.parametrize("case", [case for case, right in CASES.items() if right.refused])
def test_what_is_refused_is_refused_by_every_command_in_one_line(case, tmp_path):
    for command in (
        lambda: describe(source(case), tmp_path),
        lambda: convert(source(case), "coco", tmp_path / "out"),
    ):
        with pytest.raises(UserError, match=CASES[case].refused) as refused:
            command()
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow(60)
@pytest.mark.parametrize("to", WRITABLE)
@pytest.mark.parametrize("case", READ)
def test_convert_keeps_every_image_its_labels_and_its_part(case, to, opened, tmp_path):
    convert(source(case), to, tmp_path / "written")
    back = load(tmp_path / "written", tmp_path / "cache")
    renamed = bdd100k.OLD_NAMES if to == bdd100k.NAME else {}
    expected = ((image, renamed.get(name, name), *rest) for image, name, *rest in rows(opened(case)))
    assert rows(back) == sorted(expected)
    assert {name: part.images for name, part in back.parts.items()} == {
        name: part.images for name, part in opened(case).parts.items()
    }


@pytest.mark.slow(20)
def test_a_step_of_training_on_an_image_of_every_case_has_a_loss(opened, tiny_recipe, tmp_path):
    """The graph is the same for all cases; what differs is what their records hold: one training takes one of each."""
    from trainers.object_detection_api.trainer import DetectorTrainer

    shard, classes = tmp_path / "train.tfrecord", ("a", "b", "c")  # as many as any case has
    with TFRecordWriter(shard) as out:
        for case in READ:
            out.write(first_record(opened(case).train.files[0]))
    write_label_map(tmp_path / "label_map.pbtxt", classes)
    part = Part((shard,), len(READ))
    trainer = DetectorTrainer(Dataset("cases", str(shard), classes, part, part, fingerprint="c45e5"))
    trainer.start(tiny_recipe)
    losses = trainer.train(-(-len(READ) // tiny_recipe.batch_size)).losses["total"]  # each image once
    assert all(0 < loss < 100 for loss in losses)


def first_record(file: Path) -> bytes:
    with file.open("rb") as opened_file:
        return read_record(opened_file, next(iter(record_locations(file))))
