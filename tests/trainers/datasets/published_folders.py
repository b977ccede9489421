"""What tests of published folders share: write pictures, recognise a folder's format, count its labels."""

from collections import Counter
from pathlib import Path

from labelled_folders import picture

from trainers.datasets.formats.recognition import recognise
from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images


def images(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(number + 100 * len(str(folder))))


def labels(opened, part="train") -> Counter[str]:
    records = read_images(opened.parts[part].files)
    return Counter(opened.classes[label - 1] for record in records for label in record.labels)


def recognised(folder: Path, name: str, tmp_path: Path):
    assert name == recognise(folder).format.NAME
    return open_dataset(str(folder), tmp_path / "cache")


def yolo(folder: Path, image: str, label: str, *lines: str) -> None:
    images(folder, image)
    (folder / label).parent.mkdir(parents=True, exist_ok=True)
    (folder / label).write_text("\n".join(lines))
