"""Lines of YOLO labels with more than a box: key points, polygons, rotated boxes; and what may be either is refused."""

import numpy as np
import pytest
from labelled_folders import picture

from trainers.datasets import check
from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images
from trainers.errors import UserError

# xmin, ymin, xmax, ymax of objects in all corners of the image, and of several sizes
BOXES = [
    (0.05 + 0.6 * a, 0.1 + 0.5 * b, 0.05 + 0.6 * a + 0.1 + 0.2 * c, 0.1 + 0.5 * b + 0.15 + 0.2 * c)
    for a, b, c in np.random.default_rng(0).uniform(0, 1, (12, 3))
]


def corners(box) -> list[float]:
    xmin, ymin, xmax, ymax = box
    return [xmin, ymin, xmax, ymin, xmax, ymax, xmin, ymax]


def head(box) -> list[float]:
    xmin, ymin, xmax, ymax = box
    return [(xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin]


def inner(box, count: int) -> list[float]:
    """Points in the middle half of a box."""
    xmin, ymin, xmax, ymax = box
    across = np.linspace(0.3, 0.7, count)
    return [v for t in across for v in (xmin + t * (xmax - xmin), ymin + t * (ymax - ymin))]


def seen(points: list[float], *flags: int) -> list[float]:
    """Points with a visibility after each."""
    pairs = zip(points[0::2], points[1::2], strict=True)
    return [v for i, (x, y) in enumerate(pairs) for v in (x, y, flags[i % len(flags)])]


KINDS = {
    "boxes": head,
    "corner points": lambda box: head(box) + corners(box),
    "corner points with visibility": lambda box: head(box) + seen(corners(box), 2),
    "one point with visibility": lambda box: head(box) + seen(inner(box, 1), 0, 2),
    "five points with visibility": lambda box: head(box) + seen(inner(box, 5), 2, 1, 0),
    "absent points": lambda box: head(box) + seen(inner(box, 2), 2) + [0.0, 0.0, 0],
    "box and its polygon": lambda box: head(box) + corners(box) + corners(box)[:4],
    "polygons": lambda box: [*corners(box), (box[0] + box[2]) / 2, box[1]],
    "rotated boxes": corners,
}
STATED = {"points inside": (lambda box: head(box) + inner(box, 3), "[3, 2]")}


def folder(root, kind, kpt_shape=None, boxes=BOXES):
    for number, box in enumerate(boxes):
        (root / "images").mkdir(parents=True, exist_ok=True)
        (root / "labels").mkdir(exist_ok=True)
        (root / "images" / f"{number:02}.jpg").write_bytes(picture(number))
        (root / "labels" / f"{number:02}.txt").write_text(
            "0 " + " ".join(f"{v:.6f}" for v in kind(box)) + "\n"
        )
    if kpt_shape is None:
        (root / "classes.txt").write_text("plate\n")
    else:
        text = f"train: images\nval: images\nnames: [plate]\nkpt_shape: {kpt_shape}\n".replace(
            "val: images\n", ""
        )
        (root / "data.yaml").write_text(text)
    return root


def found(root, cache) -> list[list[float]]:
    opened = open_dataset(str(root), cache)
    records = [record for part in opened.parts.values() for record in read_images(part.files)]
    assert len(records) == len(BOXES)
    return [record.boxes.round(3).tolist() for record in sorted(records, key=lambda record: record.name)]


EXPECTED = [[[round(v, 3) for v in (ymin, xmin, ymax, xmax)]] for xmin, ymin, xmax, ymax in BOXES]


@pytest.mark.parametrize("kind", KINDS)
def test_the_box_of_a_line_is_found_whatever_follows_it(tmp_path, kind):
    np.testing.assert_allclose(found(folder(tmp_path / kind, KINDS[kind]), tmp_path), EXPECTED, atol=0.0015)


def test_key_points_that_a_yaml_states_are_read_as_such(tmp_path):
    kind, shape = STATED["points inside"]
    np.testing.assert_allclose(found(folder(tmp_path / "pose", kind, shape), tmp_path), EXPECTED, atol=0.0015)


def test_points_inside_a_box_are_refused_without_it(tmp_path):
    root = folder(tmp_path / "pose", STATED["points inside"][0])
    with pytest.raises(
        UserError, match=r"10 numbers after the class.*`kpt_shape: \[3, 2\]` in a data\.yaml"
    ) as refused:
        open_dataset(str(root), tmp_path)
    assert "\n" not in str(refused.value)


def test_polygons_may_be_stated(tmp_path):
    centred = [(0.4 + i / 100, 0.4, 0.5 + i / 100, 0.5) for i in range(12)]
    kind = lambda box: [0.5, 0.45, 0.5, 0.45, *corners(box)]  # noqa: E731
    with pytest.raises(UserError, match="kpt_shape: null"):
        open_dataset(str(folder(tmp_path / "either", kind, boxes=centred)), tmp_path)
    assert check(folder(tmp_path / "polygons", kind, "null", boxes=centred)).error is None


@pytest.mark.parametrize("shape", ["[4]", "four", "[0, 2]", "[4, 5]"])
def test_a_wrong_kpt_shape_is_refused(tmp_path, shape):
    with pytest.raises(UserError, match=r"data\.yaml: kpt_shape: expected"):
        open_dataset(str(folder(tmp_path / "pose", head, shape)), tmp_path)


def test_a_line_of_another_length_than_kpt_shape_is_named(tmp_path):
    root = folder(tmp_path / "pose", STATED["points inside"][0], "[4, 2]")
    report = check(root)
    assert report.counts == {"unreadable labels": 12}
    assert report.problems[0].where == "labels/00.txt:1"


def test_class_numbers_may_be_written_as_floats(tmp_path):
    root = folder(tmp_path / "yolo", head)
    for file in (root / "labels").iterdir():
        file.write_text(file.read_text().replace("0 ", "0.0 ", 1))
    assert check(root).counts == {}
