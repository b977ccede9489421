"""Small folders of labelled images for tests, written by hand as a person's tools write them."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from trainers.datasets.records import tf_example
from trainers.datasets.records.tfrecords import RecordLocation, read_record, record_locations

OBJECT = """
  <object>
    <name>{name}</name>
    <difficult>0</difficult>
    <bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>
  </object>"""


def picture(
    number: int = 0, width: int = 64, height: int = 48, mode: str = "RGB", kind: str = "JPEG", **save
) -> bytes:
    """An encoded picture; another number is another picture."""
    pixels = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
    image = Image.fromarray(pixels).resize((width, height)).convert(mode)
    file = BytesIO()
    image.save(file, kind, **save)
    return file.getvalue()


def voc(
    folder: Path, number: int, *boxes: tuple, data: bytes | None = None, size=(64, 48), name=None
) -> Path:
    """One image with its XML; a box is (class, ymin, xmin, ymax, xmax)."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "images" / f"{number}.jpg").write_bytes(picture(number) if data is None else data)
    objects = "".join(
        OBJECT.format(name=name, ymin=ymin, xmin=xmin, ymax=ymax, xmax=xmax)
        for name, ymin, xmin, ymax, xmax in boxes
    )
    xml = folder / "annotations" / f"{number}.xml"
    xml.write_text(
        f"<annotation>\n  <filename>{name or f'{number}.jpg'}</filename>\n"
        f"  <size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>{objects}\n</annotation>\n",
        encoding="utf-8",
    )
    return xml


def voc_folder(folder: Path, images: int = 40) -> Path:
    """Images of cats and dogs in turn, none with anything wrong."""
    for number in range(images):
        voc(folder, number, ("cat" if number % 2 else "dog", 4, 8, 40, 60))
    return folder


def features(*files: Path) -> list[dict[str, list]]:
    """The features of every record."""
    found = []
    for path in files:
        with path.open("rb") as file:
            for place in record_locations(path):
                assert isinstance(place, RecordLocation)
                found.append(tf_example.decode(read_record(file, place)))
    return found
