"""The toy city as it is: what a scene holds, and the records that it is written as."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from trainers.datasets import dataset
from trainers.datasets.opening import open_dataset
from trainers.datasets.records import tf_example
from trainers.datasets.records.tfrecords import RecordLocation, read_record, record_locations
from trainers.datasets.toy_city.generating import labelled_scene, open_toy_city
from trainers.datasets.toy_city.pictures import draw
from trainers.datasets.toy_city.road_users import KINDS
from trainers.datasets.toy_city.scenes import RoadUser, Scene, ToyCity

SMALL = ToyCity(train_images=12, validation_images=5)


def examples(file: Path) -> list[dict[str, list]]:
    with file.open("rb") as opened:
        found = list(record_locations(file))
        assert all(isinstance(place, RecordLocation) for place in found)
        return [tf_example.decode(read_record(opened, place)) for place in found]


def test_the_same_scene_is_drawn_again_to_the_last_bit():
    assert labelled_scene(SMALL, "train", 3).image == labelled_scene(SMALL, "train", 3).image


def test_litter_is_ten_classes_of_small_things_that_overlap():
    city = ToyCity(classes=("litter",), users=(6, 12), overlap=0.5, hidden=0.5)
    assert len(city.classes) == len(set(city.classes)) == 10
    scenes = [labelled_scene(city, "train", number) for number in range(12)]
    assert {label for scene in scenes for label in scene.labels} == set(range(1, 11))
    sides = [np.sqrt(np.prod(box[2:] - box[:2])) for scene in scenes for box in scene.boxes]
    assert 0.01 < np.median(sides) < 0.12  # of the image


def test_the_parts_share_no_scene_and_other_seeds_are_other_cities():
    digests = [
        labelled_scene(city, part, number).digest()
        for city in (SMALL, ToyCity(seed=1))
        for part in ("train", "validation")
        for number in range(4)
    ]
    assert len(set(digests)) == len(digests)


@pytest.mark.slow
def test_every_class_is_there_in_sizes_that_a_small_detector_can_see():
    counts = np.zeros(3, int)
    sides = []
    for number in range(60):
        drawn = labelled_scene(SMALL, "train", number)
        assert len(drawn.labels) <= SMALL.users[1]
        assert (drawn.boxes >= 0).all()
        assert (drawn.boxes <= 1).all()
        counts += np.bincount(drawn.labels, minlength=4)[1:]
        sides += [max(box[2] - box[0], box[3] - box[1]) * 160 for box in drawn.boxes]
    assert counts.min() > 0.2 * counts.sum()
    assert np.percentile(sides, 10) > 20


@pytest.mark.parametrize("velocity", [-1.0, 1.0], ids=["to the left", "to the right"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_box_touches_what_is_drawn_on_all_four_sides(kind, velocity):
    empty = Scene(320, 240, horizon=80, light=1, warmth=0, noise=0, blur=0, street=2, posts=0, users=())
    user = RoadUser(kind, foot=(160.0, 220.0), height=100, velocity=velocity, look=5)
    pixels, (seen,) = draw(replace(empty, users=(user,)))
    # its shadow is the street's, and is not as far from it in colour
    rows, columns = np.nonzero((np.abs(pixels.astype(int) - draw(empty)[0]) > 55).any(axis=2))
    drawn = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
    assert np.abs(drawn - seen.box).max() <= 5  # dark soles on dark asphalt


def test_the_city_is_written_once_as_records_that_the_api_reads(tmp_path):
    said: list[str] = []
    city = open_toy_city(SMALL, tmp_path, on_progress=said.append)
    again = open_toy_city(SMALL, tmp_path, on_progress=said.append)
    assert city == again == dataset.read_manifest(city.train.files[0].parent)
    assert len(said) == 1
    assert (city.train.images, city.validation.images) == (12, 5)
    assert city.classes == ("vehicle", "pedestrian", "cyclist")
    features = examples(city.train.files[0])
    assert len(features) == 12
    for one in features:
        assert set(one["image/object/class/label"]) <= {1, 2, 3}
        names = [name.decode() for name in one["image/object/class/text"]]
        assert names == [city.classes[label - 1] for label in one["image/object/class/label"]]
        assert one["image/encoded"][0][:2] == b"\xff\xd8"
    assert sorted(path.name for path in tmp_path.iterdir()) == [city.train.files[0].parent.name]


@pytest.mark.slow
def test_other_settings_are_another_dataset_with_another_fingerprint(tmp_path):
    fingerprints = {
        open_toy_city(city, tmp_path).fingerprint
        for city in (
            SMALL,
            SMALL.model_copy(update={"seed": 1}),
            SMALL.model_copy(update={"train_images": 11}),
        )
    }
    assert len(fingerprints) == 3


@pytest.mark.slow
def test_what_a_killed_process_left_is_built_anew(tmp_path):
    whole = open_toy_city(SMALL, tmp_path)
    folder = whole.train.files[0].parent
    left = tmp_path / f".{folder.name}.partial"
    folder.rename(left)
    (left / dataset.MANIFEST).unlink()
    (left / "train.tfrecord-00000-of-00001").write_bytes(b"half")
    assert open_toy_city(SMALL, tmp_path) == whole


def test_no_class_that_cannot_be_drawn():
    with pytest.raises(ValidationError, match="vehicle, pedestrian, cyclist"):
        ToyCity(classes=("tram",))


@pytest.mark.slow
def test_no_source_is_the_toy_city(tmp_path):
    assert open_dataset(None, tmp_path) == open_dataset("toy-city", tmp_path)
    assert open_dataset(None, tmp_path).train.images == 240
