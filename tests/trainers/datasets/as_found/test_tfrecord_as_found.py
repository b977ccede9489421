"""TFRecords as other tools write them, Waymo's segments among them."""

from pathlib import Path

import pytest
from labelled_folders import picture
from published_folders import labels, recognised

from trainers.datasets.opening import open_dataset
from trainers.datasets.records import tf_example
from trainers.datasets.records.reading import read_images
from trainers.datasets.records.tfrecords import TFRecordWriter
from trainers.errors import UserError


def waymo_segment(path: Path, frames: int, texts: bool = True, number: int = 0) -> None:
    """As the Udacity course's script writes it: `jpg`, the segment's name for every frame, ids 1, 2 and 4."""
    names = {1: b"vehicle", 2: b"pedestrian", 4: b"cyclist"}
    with TFRecordWriter(path) as shard:
        for frame in range(frames):
            ids = [1, 2, 4][: frame % 3 + 1]
            features = {
                "image/height": [48], "image/width": [64], "image/format": b"jpg",
                "image/filename": path.name.encode(), "image/source_id": path.name.encode(),
                "image/encoded": picture(1000 * number + frame),
                **{f"image/object/bbox/{edge}": [0.1] * len(ids) for edge in ("xmin", "ymin")},
                **{f"image/object/bbox/{edge}": [0.6] * len(ids) for edge in ("xmax", "ymax")},
                "image/object/class/label": ids,
            }  # fmt: skip
            if texts:
                features["image/object/class/text"] = [names[label] for label in ids]
            shard.write(tf_example.encode(features))


@pytest.mark.parametrize("texts", [True, False])
def test_waymo_cyclists_get_an_id_that_is_learned_and_segments_stay_whole(tmp_path, texts):
    folder = tmp_path / "waymo"
    folder.mkdir()
    for number in range(10):
        waymo_segment(folder / f"segment-{number}_with_camera_labels.tfrecord", 6, texts, number)
    opened = recognised(folder, "waymo", tmp_path)
    assert opened.classes == ("vehicle", "pedestrian", "cyclist")
    assert (
        "label ids remapped by name to 1..3: vehicle 1 -> 1, pedestrian 2 -> 2, cyclist 4 -> 3"
        in opened.notes
    )
    assert labels(opened)["cyclist"] == 16
    assert (opened.train.images, opened.validation.images) == (48, 12)
    segments = [{r.name.split("~")[0] for r in read_images(part.files)} for part in opened.parts.values()]
    assert not segments[0] & segments[1]


def test_waymo_with_the_courses_label_map(tmp_path):
    folder = tmp_path / "waymo"
    for part in ("train", "val"):
        (folder / part).mkdir(parents=True)
        waymo_segment(folder / part / "segment-0_with_camera_labels.tfrecord", 6, number=len(part))
    (tmp_path / "label_map.pbtxt").write_text(
        "item {id: 1 name: 'vehicle'}\nitem {id: 2 name: 'pedestrian'}\nitem {id: 4 name: 'cyclist'}\n"
    )
    opened = recognised(folder, "waymo", tmp_path)
    assert labels(opened, "validation") == {"vehicle": 6, "pedestrian": 4, "cyclist": 2}


def test_records_without_a_label_map_are_named_by_their_own_texts(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    waymo_segment(folder / "train.record", 12)
    opened = recognised(folder, "tfrecord", tmp_path)
    assert opened.classes == ("vehicle", "pedestrian", "cyclist")
    waymo_segment(folder / "train.record", 12, texts=False)
    with pytest.raises(UserError, match=r"no label map \(\*\.pbtxt\)"):
        open_dataset(str(folder), tmp_path / "cache")
