"""The toy city as it may be asked for: every setting is seen in what is drawn, and an impossible one is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.datasets.opening import open_dataset
from trainers.datasets.toy_city.generating import labelled_scene
from trainers.datasets.toy_city.naming import name_of, parse_city
from trainers.datasets.toy_city.pictures import picture
from trainers.datasets.toy_city.road_users import KINDS
from trainers.datasets.toy_city.scenes import ToyCity, plan
from trainers.errors import UserError

pytestmark = pytest.mark.slow


def drawn(count: int = 12, **settings) -> list:
    city = ToyCity(**settings)
    return [(plan(city, "train", number), labelled_scene(city, "train", number)) for number in range(count)]


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
    nearness=st.tuples(st.floats(0.05, 0.5), st.floats(0.5, 4)),
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
    one = labelled_scene(city, part, number)
    assert city.widths[0] <= one.width <= city.widths[1]
    assert city.heights[0] <= one.height <= city.heights[1]
    assert decoded(one.image).shape == (one.height, one.width, 3)
    assert len(one.labels) <= city.users[1]
    assert set(one.labels) <= set(range(1, len(city.classes) + 1))
    assert ((one.boxes >= 0) & (one.boxes <= 1)).all()
    assert (one.boxes[:, 2:] > one.boxes[:, :2]).all()
    assert labelled_scene(city, part, number).digest() == one.digest()
    assert parse_city(name_of(city)) == city


def test_nearer_is_larger():
    heights = [
        np.median([box[2] - box[0] for _, one in drawn(8, nearness=near) for box in one.boxes])
        for near in ((0.1, 0.2), (0.4, 0.5), (0.9, 1.0))
    ]
    assert heights[0] < 0.6 * heights[1] < 0.6 * heights[2]


def test_what_is_nearer_than_the_street_allows_lies_anywhere_in_the_image():
    litter = drawn(12, classes=("litter",), nearness=(1.5, 2.5), users=(3, 5), overlap=0.3)
    boxes = np.concatenate([one.boxes for _, one in litter])
    assert 0.1 < np.median(boxes[:, 2] - boxes[:, 0]) < 0.5
    assert np.ptp((boxes[:, 0] + boxes[:, 2]) / 2) > 0.4


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


def test_a_class_may_be_rare():
    labels = [label for _, one in drawn(100, shares=(6.0, 6.0, 1.0)) for label in one.labels]
    share = labels.count(3) / len(labels)
    assert len(labels) > 200
    assert 1 / 26 < share < 2 / 13  # a thirteenth, of some 260
    assert {label for _, one in drawn(20, shares=(1.0, 0.0, 1.0)) for label in one.labels} == {1, 3}


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
        ("toy-city:shares=6+5.5+1", ToyCity(shares=(6, 5.5, 1))),
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
        ("toy-city:fog=1", "settings are classes, shares, train_images"),
        ("toy-city:night=2", "night: Input should be less than or equal to 1"),
        ("toy-city:users=9-3", "users: expected two numbers from 0 to 200, the smaller first"),
        ("toy-city:shares=1+2", "shares: expected a number for each of the 3 classes, such as 5"),
        ("toy-city:shares=0+0+0", "shares: expected a number for each of the 3 classes"),
        ("toy-city:shares=-1+2+3", "shares: expected a number for each of the 3 classes"),
        ("toy-city:classes=tram", "choose from vehicle, pedestrian, cyclist"),
        ("toy-city:night", "'night' has no value"),
        ("toy-city {", "a form like toy-city:night=1"),
    ],
)
def test_a_city_that_cannot_be_is_refused_in_one_line(source, why, tmp_path):
    with pytest.raises(UserError, match=why) as error:
        open_dataset(source, tmp_path)
    assert "\n" not in str(error.value)
