"""Pictures that are written state no orientation: boxes that were on them as stored are on them as they are shown."""

import json
from io import BytesIO

import cv2
import numpy as np
import pytest
from encoded_pictures import pixels, saved
from labelled_folders import picture
from PIL import Image

from trainers.datasets import convert, formats, load
from trainers.datasets.pictures.orientation import as_stored
from trainers.datasets.records.reading import read_images

BOX = (6, 10, 18, 30)  # ymin, xmin, ymax, xmax of a bright spot on the stored 64x48 pixels
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def spotted(grey: int, orientation: int) -> bytes:
    drawn = Image.new("RGB", (64, 48), (grey, grey, grey))
    drawn.paste((240, 240, 240), (BOX[1], BOX[0], BOX[3], BOX[2]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(drawn, "JPEG", exif=exif, quality=95)


def spot_of(data: bytes) -> tuple[int, ...]:
    """The spot as a program finds it that turns pictures by their EXIF data."""
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    rows, columns = np.nonzero(seen.mean(axis=2) > 150)
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def coco_of_turned_pictures(folder, orientation: int):
    """Ten JPEGs with an orientation; the file states the size of the stored pixels, so the boxes are on these."""
    folder.mkdir()
    ymin, xmin, ymax, xmax = BOX
    for i in range(10):
        (folder / f"{i}.jpg").write_bytes(spotted(5 * i, orientation))
    document = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 64, "height": 48} for i in range(10)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [xmin, ymin, xmax - xmin, ymax - ymin]}
            for i in range(10)
        ],
        "categories": [{"id": 1, "name": "vehicle"}, {"id": 2, "name": "pedestrian"}, {"id": 3, "name": "cyclist"}],
    }  # fmt: skip
    (folder / "labels.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("to", [known.NAME for known in formats.all_formats()])
def test_boxes_of_turned_pictures_are_on_the_same_pixels_in_every_format(to, orientation, tmp_path):
    source = coco_of_turned_pictures(tmp_path / "phone", orientation)
    convert(source, to, tmp_path / "out")
    again = load(tmp_path / "out", tmp_path / "cache")
    first = load(source, tmp_path / "cache")
    found = [record for part in again.parts.values() for record in read_images(part.files)]
    before = [pixels(record.image) for part in first.parts.values() for record in read_images(part.files)]
    assert len(found) == 10
    for record in found:
        assert record.pixel_boxes().round(2).tolist() == [list(BOX)]
        assert (record.width, record.height) == (64, 48)
        assert any((pixels(record.image) == each).all() for each in before)
    for file in (tmp_path / "out").rglob("*.jpg"):
        assert spot_of(file.read_bytes()) == pytest.approx(BOX, abs=1)


def oriented(kind: str, byte_order: str, **options) -> bytes:
    exif = Image.Exif()
    exif.endian = byte_order
    exif[0x010F], exif[0x0112], exif[0x0131] = "a camera", 6, "its program"
    return saved(Image.open(BytesIO(picture(1))), kind, exif=exif.tobytes(), **options)


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_orientation_is_reset_and_nothing_else_is_changed(kind, byte_order):
    data = oriented(kind, byte_order)
    reset = as_stored(data)
    with Image.open(BytesIO(data)) as before, Image.open(BytesIO(reset)) as after:
        assert dict(after.getexif()) == dict(before.getexif()) | {0x0112: 1}
        assert (np.asarray(after) == np.asarray(before)).all()
    assert len(reset) == len(data)
    assert cv2.imdecode(np.frombuffer(reset, np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
    assert as_stored(reset) is reset


def test_an_orientation_in_xmp_is_reset_too():
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    data = saved(Image.open(BytesIO(picture(1))), "JPEG", exif=exif.tobytes(), xmp=XMP)
    with Image.open(BytesIO(data)) as before, Image.open(BytesIO(as_stored(data))) as after:
        assert (before.getexif()[0x0112], after.getexif()[0x0112]) == (6, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_without_an_orientation_or_with_damaged_data_is_written_as_it_is(kind):
    plain = saved(Image.open(BytesIO(picture(1))), kind)
    assert as_stored(plain) is plain
    data = oriented(kind, "<")
    for length in range(len(data)):
        as_stored(data[:length])
