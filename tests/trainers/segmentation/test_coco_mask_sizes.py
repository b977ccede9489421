"""The size that a COCO file states for an image says on which pixels its polygons are."""

from __future__ import annotations

import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from trainers.errors import UserError
from trainers.segmentation.data.masked_image import read_masked_images
from trainers.segmentation.data.opening import open_dataset


def photo(orientation, light=220):
    """A JPEG as a phone stores it, 60x40, whose first 20 stored columns are bright."""
    pixels = np.full((40, 60, 3), 30, np.uint8)
    pixels[:, :20] = light
    exif, file = Image.Exif(), BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


def labelled(root, orientation, bright, width, height, count=10):
    """A COCO file in which the rectangle `bright` (left, top, right, bottom) is a class."""
    root.mkdir()
    left, top, right, bottom = bright
    for i in range(count):
        (root / f"{i}.jpg").write_bytes(photo(orientation, 200 + 5 * i))
    document = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": width, "height": height} for i in range(count)
        ],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
            }
            for i in range(count)
        ],
        "categories": [{"id": 1, "name": "sky"}],
    }
    (root / "labels.json").write_text(json.dumps(document, indent=1))
    return root


def seen(data):
    """The bright rectangle on the turned picture."""
    upright = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(data))).convert("L")) > 128
    rows, columns = np.nonzero(upright)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


# an orientation below 5 keeps the size, which then does not tell
CAMERAS = [*((turn, False) for turn in range(1, 9)), *((turn, True) for turn in range(5, 9))]


@pytest.mark.parametrize(("orientation", "turned"), CAMERAS)
def test_a_mask_is_on_what_it_was_drawn_around_whichever_way_the_camera_was_held(
    orientation, turned, tmp_path
):
    bright = tuple(map(int, seen(photo(orientation)))) if turned else (0, 0, 20, 40)
    size = (40, 60) if turned else (60, 40)
    dataset = open_dataset(str(labelled(tmp_path / "phone", orientation, bright, *size)), tmp_path / "cache")
    images = [*read_masked_images(dataset.train.files), *read_masked_images(dataset.validation.files)]
    assert len(images) == 10
    for image in images:
        assert image.mask.shape == size[::-1] == image.pixels().shape[:2]
        assert ((image.pixels().mean(axis=2) > 128) == (image.mask == 1)).mean() > 0.97


def test_a_file_whose_images_were_scaled_after_labelling_is_refused(tmp_path):
    root = labelled(tmp_path / "scaled", 1, (0, 0, 40, 80), 120, 80)
    with pytest.raises(UserError) as refused:
        open_dataset(str(root), tmp_path / "cache")
    assert "10 x image size mismatch, first labels.json:" in str(refused.value)
    assert "labels state 120x80 px, the image has 60x40" in str(refused.value)
