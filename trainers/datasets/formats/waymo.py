"""Waymo segments as the Udacity course exports them: TFRecord files `segment-*`, ids 1 vehicle, 2 pedestrian, 4 cyclist.

The ids have a gap, so they are renumbered to 1..3; a trainer that used them unchanged would never learn cyclists. Each
file is a sequence, whose frames go into one part. A label map beside the files overrides the class names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from trainers.datasets.formats import tfrecord
from trainers.datasets.formats.format import Source
from trainers.datasets.label_map import LabelMap, remapping_note
from trainers.datasets.problems import Problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.tfrecords import TFRecordWriter
from trainers.errors import UserError

NAME = "waymo"
TITLE = "Waymo segments (Udacity's exports)"
TRAINABLE_IN_PLACE = False
STATES = tfrecord.STATES

# waymo_open_dataset/label.proto, without UNKNOWN 0 and SIGN 3, which the exports leave out
IDS = {1: "vehicle", 2: "pedestrian", 4: "cyclist"}
_FRAMES = 20  # per segment, as in the exports: one frame for each of 20 seconds


def recognises(path: Path) -> bool:
    """TFRecord files named segment-*."""
    return any(file.name.startswith("segment-") for file in tfrecord.record_files(path))


def roots(path: Path) -> Sequence[Path]:
    """As for TFRecord files."""
    return tfrecord.roots(path)


def read(path: Path, problems: Problems) -> Source:
    """Open the file or the folder."""
    if tfrecord.label_map_of(path) is not None:
        return tfrecord.read(path, problems)
    declared_in = "Waymo's ids (1 vehicle, 2 pedestrian, 4 cyclist)"
    note = remapping_note(IDS)
    return Source(
        images=tfrecord.read_images(path, LabelMap(IDS), declared_in, problems),
        classes=tuple(IDS.values()),
        declared_in=declared_in,
        notes=(note,) if note else (),
        remapped=True,
    )


def write(folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]) -> None:
    """Write `<part>/segment-*` with Waymo's label ids. Raises UserError for other classes than Waymo's three."""
    ids = {name: number for number, name in IDS.items()}
    foreign = [name for name in classes if name not in ids]
    if foreign:
        raise UserError(
            f"Waymo's exports have no class '{foreign[0]}', only {', '.join(ids)}; choose another format"
        )
    for part, images in parts.items():
        (folder / part).mkdir()
        for number, frames in enumerate(tfrecord.in_groups(images, _FRAMES)):
            with TFRecordWriter(
                folder / part / f"segment-{part}-{number:05d}_with_camera_labels.tfrecord"
            ) as shard:
                for image in frames:
                    shard.write(image.encode(classes, [ids[name] for name in classes]))
