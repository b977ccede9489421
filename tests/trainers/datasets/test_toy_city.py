import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trainers.datasets import dataset, example
from trainers.datasets.opening import open_dataset
from trainers.datasets.tfrecords import Place, places, read_record
from trainers.datasets.toy_city.generating import open_toy_city, record
from trainers.datasets.toy_city.naming import name_of, parse_city
from trainers.datasets.toy_city.pictures import draw, picture
from trainers.datasets.toy_city.road_users import KINDS
from trainers.datasets.toy_city.scenes import RoadUser, Scene, ToyCity, plan
from trainers.datasets.toy_city.video import frames, write_video
from trainers.errors import UserError

SMALL = ToyCity(train_images=12, validation_images=5)


def examples(file: Path) -> list[dict[str, list]]:
    with file.open("rb") as opened:
        found = list(places(file))
        assert all(isinstance(place, Place) for place in found)
        return [example.decode(read_record(opened, place)) for place in found]


def test_the_same_scene_is_drawn_again_to_the_last_bit():
    assert record(SMALL, "train", 3).image == record(SMALL, "train", 3).image


def test_the_parts_share_no_scene_and_other_seeds_are_other_cities():
    digests = [
        record(city, part, number).digest()
        for city in (SMALL, ToyCity(seed=1))
        for part in ("train", "validation")
        for number in range(4)
    ]
    assert len(set(digests)) == len(digests)


def test_every_class_is_there_in_sizes_that_a_small_detector_can_see():
    counts = np.zeros(3, int)
    sides = []
    for number in range(60):
        drawn = record(SMALL, "train", number)
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
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")) == [
        city.train.files[0].parent.name
    ]


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


# Hard cases on request


def drawn(count: int = 12, **settings) -> list:
    city = ToyCity(**settings)
    return [(plan(city, "train", number), record(city, "train", number)) for number in range(count)]


def ranges(least: int, most: int, span: int) -> st.SearchStrategy:
    return st.integers(least, most).flatmap(
        lambda low: st.integers(low, low + span).map(lambda high: (low, high))
    )


CITIES = st.builds(
    ToyCity,
    classes=st.permutations(list(KINDS)).flatmap(
        lambda names: st.integers(1, 3).map(lambda count: tuple(names[:count]))
    ),
    widths=ranges(64, 200, 40),
    heights=ranges(64, 200, 40),
    users=ranges(0, 8, 4),
    nearness=st.tuples(st.floats(0.05, 0.5), st.floats(0.5, 1)),
    overlap=st.floats(0, 1),
    hidden=st.floats(0, 0.95),
    posts=st.floats(0, 1),
    night=st.floats(0, 1),
    noise=st.tuples(st.floats(0, 5), st.floats(5, 60)),
    blurs=st.lists(st.floats(0, 6), min_size=1, max_size=3).map(tuple),
    seed=st.integers(0, 2**31),
)


@given(city=CITIES, part=st.sampled_from(["train", "validation"]), number=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_every_city_that_may_be_asked_for_is_drawn_as_asked_and_the_same_again(city, part, number):
    one = record(city, part, number)
    assert city.widths[0] <= one.width <= city.widths[1]
    assert city.heights[0] <= one.height <= city.heights[1]
    assert decoded(one.image).shape == (one.height, one.width, 3)
    assert len(one.labels) <= city.users[1]
    assert set(one.labels) <= set(range(1, len(city.classes) + 1))
    assert ((one.boxes >= 0) & (one.boxes <= 1)).all()
    assert (one.boxes[:, 2:] > one.boxes[:, :2]).all()
    assert record(city, part, number).digest() == one.digest()
    assert parse_city(name_of(city)) == city


def test_nearer_is_larger():
    heights = [
        np.median([box[2] - box[0] for _, one in drawn(8, nearness=near) for box in one.boxes])
        for near in ((0.1, 0.2), (0.4, 0.5), (0.9, 1.0))
    ]
    assert heights[0] < 0.6 * heights[1] < 0.6 * heights[2]


def test_a_lamp_post_stands_before_as_many_scenes_as_asked():
    def shown(posts: float) -> list[np.ndarray]:
        return [picture(ToyCity(posts=posts, users=(0, 0)), "train", number)[0] for number in range(24)]

    without = shown(0.0)
    for posts, least, most in ((0.5, 5, 19), (1.0, 24, 24)):
        different = [(a != b).any(axis=(0, 2)).mean() for a, b in zip(without, shown(posts), strict=True)]
        assert least <= sum(share > 0 for share in different) <= most
        assert max(different) < 0.2  # a post, and what a blur makes of it


def test_grain_has_the_strength_that_is_asked():
    smooth, grainy = (
        picture(ToyCity(noise=(noise, noise), blurs=(0.0,), night=0.0), "train", 4)[0].astype(int)
        for noise in (0.0, 20.0)
    )
    middle = (smooth > 80) & (smooth < 175)  # where it is not cut at black or white
    assert np.std((grainy - smooth)[middle]) == pytest.approx(20, rel=0.1)


def test_a_city_may_be_dark():
    light = [np.mean(decoded(one.image)) for _, one in drawn(night=0.0)]
    dark = [np.mean(decoded(one.image)) for _, one in drawn(night=1.0)]
    assert max(dark) < min(light)


def decoded(image: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)


def test_a_city_may_be_blurred():
    def sharpness(blur: float) -> float:
        scenes = drawn(4, blurs=(blur,), noise=(0.0, 0.0))
        return float(np.mean([cv2.Laplacian(decoded(one.image), cv2.CV_64F).std() for _, one in scenes]))

    assert sharpness(3.0) < 0.3 * sharpness(0.0)


def test_a_city_may_be_crowded_and_its_people_small():
    crowd = drawn(4, users=(30, 40), nearness=(0.1, 0.2), overlap=1.0, hidden=0.9)
    counts = [len(one.labels) for _, one in crowd]
    heights = [box[2] - box[0] for _, one in crowd for box in one.boxes]
    assert min(counts) > 20
    assert np.median(heights) < 0.15


def test_a_city_may_be_empty_or_have_some_classes_only():
    assert all(len(one.labels) == 0 for _, one in drawn(4, users=(0, 0)))
    only = drawn(6, classes=("cyclist", "vehicle"))
    assert {user.kind for scene, _ in only for user in scene.users} == {"cyclist", "vehicle"}
    assert {label for _, one in only for label in one.labels} == {1, 2}


def test_road_users_may_hide_one_another_only_as_much_as_is_asked():
    for hidden in (0.1, 0.8):
        city = ToyCity(users=(8, 8), overlap=1.0, hidden=hidden)
        shown = [len(picture(city, "train", number)[1]) for number in range(8)]
        assert max(shown) <= 8
        assert (np.mean(shown) > 6) == (hidden == 0.8)


@pytest.mark.parametrize(
    ("source", "city"),
    [
        ("toy-city", ToyCity()),
        ("toy-city:night=1,users=5-20", ToyCity(night=1, users=(5, 20))),
        (
            "toy-city:classes=vehicle+cyclist,blurs=2.5,seed=7",
            ToyCity(classes=("vehicle", "cyclist"), blurs=(2.5,), seed=7),
        ),
    ],
)
def test_a_city_is_named_by_its_settings(source, city):
    assert parse_city(source) == city
    assert parse_city(name_of(city)) == city


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("toy-city:fog=1", "settings are classes, train_images"),
        ("toy-city:night=2", "night: Input should be less than or equal to 1"),
        ("toy-city:users=9-3", "users should be two numbers from 0 to 200, the smaller first"),
        ("toy-city:classes=tram", "choose from vehicle, pedestrian, cyclist"),
        ("toy-city:night", "'night' is no setting"),
        ("toy-city {", "write toy-city:night=1"),
    ],
)
def test_a_city_that_cannot_be_is_refused_in_one_line(source, why, tmp_path):
    with pytest.raises(UserError, match=why) as error:
        open_dataset(source, tmp_path)
    assert "\n" not in str(error.value)


def test_in_a_video_everybody_keeps_a_number_and_moves_on():
    shot = list(frames(ToyCity(users=(3, 3)), 2, count=40))
    sizes = {pixels.shape for pixels, _ in shot}
    assert len(sizes) == 1
    assert all(side % 2 == 0 for side in sizes.pop()[:2])
    first = {user.track: user for user in shot[0][1]}
    assert len(first) == 3
    for (_, before), (_, after) in pairwise(shot):
        assert [user.track for user in after] == [0, 1, 2]
        for was, now in zip(before, after, strict=True):
            assert was.name == now.name
            assert abs(was.box[0] - now.box[0]) < 12
            assert abs(was.box[1] + was.box[3] - now.box[1] - now.box[3]) < 80
    moved = [abs(first[user.track].box[1] - user.box[1]) for user in shot[12][1]]
    assert max(moved) > 5
    again = frames(ToyCity(users=(3, 3)), 2, count=2)
    assert all((a == b).all() for (a, _), (b, _) in zip(shot, again, strict=False))


def test_a_video_is_written_with_its_truth(tmp_path):
    write_video(tmp_path / "street.mp4", ToyCity(), 1, count=10)
    with av.open(str(tmp_path / "street.mp4")) as container:
        decoded_frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
        assert float(container.streams.video[0].average_rate) == 12.5
    truth = [json.loads(line) for line in (tmp_path / "street.mp4.jsonl").read_text().splitlines()]
    assert len(decoded_frames) == len(truth) == 10
    assert [line["frame"] for line in truth] == list(range(10))
    assert all(set(each) == {"track", "class", "box", "hidden"} for line in truth for each in line["objects"])
    for shown, (pixels, _) in zip(decoded_frames, frames(ToyCity(), 1, count=10), strict=True):
        assert np.abs(shown.astype(int) - pixels).mean() < 12
