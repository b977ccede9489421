"""The contract of a format's reader: every wrong box is counted and named, and too many of them are refused."""

import math
from collections import Counter
from pathlib import Path

import pytest
from every_format import ANY, CLASSES, HEIGHT, NAMES, WIDTH, checked, checked_image, written
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.datasets.opening import open_dataset
from trainers.errors import UserError

INSIDE = st.tuples(st.integers(2, 24), st.integers(2, 30), st.integers(6, 20), st.integers(6, 30)).map(
    lambda edges: (edges[0], edges[1], edges[0] + edges[2], edges[1] + edges[3])
)


def replaced(box: tuple, edge: int, value: float) -> tuple:
    return (*box[:edge], value, *box[edge + 1 :])


FAR = st.floats(2.5, 1e6)
WRONG_BOXES = {
    "invalid box coordinates": st.builds(
        replaced, INSIDE, st.integers(0, 3), st.sampled_from([math.nan, math.inf, -math.inf])
    ),
    "box without area": st.builds(
        lambda box, edge, less: replaced(box, edge + 2, box[edge] - less),
        INSIDE,
        st.integers(0, 1),
        st.sampled_from([0, 2, 40]),
    ),
    "box outside the image": st.builds(
        lambda box, down, right: tuple(e + d for e, d in zip(box, (down, right) * 2, strict=True)),
        INSIDE,
        st.sampled_from([0, -60, 60, 5000]),
        st.sampled_from([-90, 90, 70_000]),
    ),
    "box exceeds the image": st.builds(
        lambda box, edge, far: replaced(box, edge, -far if edge < 2 else (HEIGHT, WIDTH)[edge - 2] + far),
        INSIDE,
        st.integers(0, 3),
        FAR,
    ),
}
BOX = st.just(None).flatmap(lambda _: INSIDE.map(lambda box: ("", box))) | st.sampled_from(
    list(WRONG_BOXES)
).flatmap(lambda kind: WRONG_BOXES[kind].map(lambda box: (kind, box)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@given(images=st.lists(st.lists(BOX, max_size=4), min_size=3, max_size=8))
@settings(max_examples=8, **ANY)
def test_every_wrong_box_is_counted_and_named_with_its_file_and_image(name, tmp_path_factory, images):
    images = [[("", (4, 8, 40, 60))], *images]
    records = [checked_image(number, [box for _, box in boxes]) for number, boxes in enumerate(images)]
    folder = written(name, tmp_path_factory.getbasetemp() / f"boxes_{name}", records)
    heard, affected, count = checked(folder)
    expected = Counter(
        (f"n{number}", kind) for number, boxes in enumerate(images) for kind, _ in boxes if kind
    )
    assert Counter((Path(problem.image or "").stem, problem.kind) for problem in heard) == expected
    for problem in heard:
        assert problem.what.split()[0] in CLASSES
        assert (folder / problem.where.split(":")[0].split(",")[0]).is_file()
    assert (affected, count) == (len({image for image, _ in expected}), len(images))


@pytest.mark.parametrize("kind", WRONG_BOXES)
@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_box_in_twenty_images_is_noted_and_two_are_refused(name, kind, tmp_path):
    wrong = {
        "invalid box coordinates": (4, math.nan, 40, 60),
        "box without area": (4, 8, 4, 60),
        "box outside the image": (4, 80, 40, 90),
        "box exceeds the image": (-9, 8, 40, 60),
    }[kind]
    good = (4, 8, 40, 60)
    for bad in (1, 2):
        records = [checked_image(number, [good, wrong] if number < bad else [good]) for number in range(20)]
        folder = written(name, tmp_path / f"{bad} bad", records)
        if bad == 1:
            opened = open_dataset(str(folder), tmp_path / "cache")
            (note,) = (note for note in opened.notes if kind in note)
            assert note.startswith("1 x ")
            assert opened.train.images + opened.validation.images == 20
        else:
            with pytest.raises(UserError, match=f"2 of 20 images have problems.*2 x {kind}") as refused:
                open_dataset(str(folder), tmp_path / "cache")
            assert "\n" not in str(refused.value)
