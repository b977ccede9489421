"""The labelled part of a simulation's data: the data set with some of its training images, as records of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

from trainers.datasets.dataset import Dataset, Part
from trainers.datasets.label_map import write_label_map
from trainers.datasets.records.checked_image import decode
from trainers.datasets.records.fingerprint import Fingerprint
from trainers.datasets.records.reading import selected_examples
from trainers.datasets.records.tfrecords import TFRecordWriter
from trainers.files import replace_folder


def labelled_part(dataset: Dataset, positions: Collection[int], folder: Path) -> Dataset:
    """The dataset with the training images at these positions only; validation and test images stay.

    folder: for the records; replaced.
    """
    fingerprint = Fingerprint()
    with replace_folder(folder) as new:
        with TFRecordWriter(new / "train.tfrecord-00000-of-00001") as shard:
            for _, data in selected_examples(dataset.train.files, set(positions)):
                shard.write(data)
                fingerprint.add("train", decode(data))
        write_label_map(new / "label_map.pbtxt", dataset.classes)
    return dataclasses.replace(
        dataset,
        name=f"{dataset.name} {shard.records} labelled",
        train=Part((folder / shard.path.name,), shard.records),
        fingerprint=fingerprint.value((dataset.fingerprint,)),
    )
