"""Pictures that a camera turned by EXIF: boxes follow the labels' convention."""

import json
from io import BytesIO

import numpy as np
import pytest
from encoded_pictures import pixels, read, saved
from labelled_folders import OBJECT, picture
from PIL import Image

from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images

ORIENTED = {
    turn: saved(
        Image.open(BytesIO(picture(1))),
        "JPEG",
        exif=(lambda e, t: (e.__setitem__(0x0112, t), e)[1])(Image.Exif(), turn),
    )
    for turn in range(1, 9)
}


@pytest.mark.parametrize("turn", range(1, 9))
def test_an_exif_turn_is_followed_when_the_labels_were_made_on_the_turned_picture(turn):
    data = ORIENTED[turn]
    stored = read(data, size=(64, 48))
    assert (stored.width, stored.height, stored.data) == (64, 48, data)
    assert read(data).data == data
    if turn >= 5:  # the sides change places: the stated size tells
        upright = read(data, size=(48, 64))
        assert (upright.width, upright.height) == (48, 64)
        assert "EXIF" in upright.reencoded
        assert np.abs(pixels(upright.data) - pixels(saved(transposed(data), "PNG"))).mean() < 4
    by_convention = read(data, turned=True)
    assert (by_convention.width, by_convention.height) == ((48, 64) if turn >= 5 else (64, 48))
    assert bool(by_convention.reencoded) == (turn > 1)
    assert "exif" not in Image.open(BytesIO(by_convention.data)).info or turn == 1


def transposed(data: bytes) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(Image.open(BytesIO(data)))


SPOT = (6, 10, 18, 30)  # ymin, xmin, ymax, xmax of a bright spot on a dark picture of 64x48


def spotted(turn: int) -> bytes:
    """As a camera stores it: the picture that a person sees with its spot at SPOT, turned back."""
    seen = Image.new("RGB", (64, 48), (20, 20, 20))
    seen.paste((240, 240, 240), (SPOT[1], SPOT[0], SPOT[3], SPOT[2]))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Transpose members that undo an orientation
    stored = seen.transpose(Image.Transpose(back[turn])) if turn > 1 else seen
    exif = Image.Exif()
    exif[0x0112] = turn
    return saved(stored, "JPEG", exif=exif, quality=95)


def spot_of(data: bytes) -> tuple[int, ...]:
    rows, columns = np.nonzero(pixels(data).mean(axis=2) > 130)
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


# YOLO's tools label what is seen; the others' sizes tell which it was, unless the turn keeps the size: then it is taken
# to be what is stored
LABELLED_AS = [
    *(("yolo", turn, True) for turn in range(1, 9)),
    *((name, turn, False) for name in ("coco", "pascal_voc") for turn in range(1, 9)),
    *((name, turn, True) for name in ("coco", "pascal_voc") for turn in range(5, 9)),
]


@pytest.mark.parametrize(("name", "turn", "seen"), LABELLED_AS)
def test_a_box_is_on_what_it_was_drawn_around_whichever_way_the_camera_was_held(name, turn, seen, tmp_path):
    data = spotted(turn)
    drawn_at = SPOT if seen else spot_of(data)
    width, height = (64, 48) if seen or turn < 5 else (48, 64)
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(data + bytes([number]))
    ymin, xmin, ymax, xmax = (int(edge) for edge in drawn_at)
    if name == "coco":
        document = {
            "images": [
                {"id": i, "file_name": f"{i}.jpg", "width": width, "height": height} for i in range(5)
            ],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 1, "bbox": [xmin, ymin, xmax - xmin, ymax - ymin]}
                for i in range(5)
            ],
            "categories": [{"id": 1, "name": "spot"}],
        }
        (tmp_path / "labels.json").write_text(json.dumps(document))
    for i in range(5):
        if name == "pascal_voc":
            box = OBJECT.format(name="spot", ymin=ymin, xmin=xmin, ymax=ymax, xmax=xmax)
            size = f"<size><width>{width}</width><height>{height}</height></size>"
            (tmp_path / f"{i}.xml").write_text(
                f"<annotation><filename>{i}.jpg</filename>{size}{box}</annotation>"
            )
        if name == "yolo":
            numbers = (
                (xmin + xmax) / 2 / width, (ymin + ymax) / 2 / height, (xmax - xmin) / width, (ymax - ymin) / height,
            )  # fmt: skip
            (tmp_path / f"{i}.txt").write_text("0 " + " ".join(map(str, numbers)))
            (tmp_path / "classes.txt").write_text("spot\n")
    opened = open_dataset(str(tmp_path), tmp_path.parent / f"{tmp_path.name} cache")
    records = [record for part in opened.parts.values() for record in read_images(part.files)]
    assert len(records) == 5
    for record in records:
        assert record.pixel_boxes()[0] == pytest.approx(np.array(spot_of(record.image)), abs=1.1)
