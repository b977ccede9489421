"""Pictures for reports show an image as stored, which is what its boxes are on, whichever way the camera was held."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.tfrecords import TFRecordWriter
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.pictures.contact_sheet import SIDE, images_of

SPOT = (6, 10, 18, 30)  # ymin, xmin, ymax, xmax of a bright spot on the stored 64x48 pixels


def turned_photo(orientation: int) -> bytes:
    drawn = Image.new("RGB", (64, 48), (20, 20, 20))
    drawn.paste((240, 240, 240), (SPOT[1], SPOT[0], SPOT[3], SPOT[2]))
    exif, file = Image.Exif(), BytesIO()
    exif[0x0112] = orientation
    drawn.save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_is_drawn_around_its_object(orientation, tmp_path):
    record = CheckedImage(
        "a.jpg", turned_photo(orientation), "jpeg", 64, 48,
        np.array([SPOT], np.float32) / np.array([48, 64, 48, 64], np.float32), (1,), (False,), (False,),
    )  # fmt: skip
    with TFRecordWriter(tmp_path / "validation.tfrecord") as shard:
        shard.write(record.encode(("spot",)))
    dataset = SimpleNamespace(validation=SimpleNamespace(files=(shard.path,)))
    none = np.zeros((0, 4))
    result = ImageResult(
        48, 64, np.array([SPOT], float), np.array([0]), np.array([False]), none, none[:, 0], none[:, 0]
    )
    ((image, shown),) = images_of([result], dataset, [0])
    assert image.shape == (SIDE * 48 // 64, SIDE, 3)
    rows, columns = np.nonzero(image.mean(axis=2) > 130)
    around = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert shown.true_boxes[0] == pytest.approx(np.array(around, float), abs=SIDE / 64)
