"""What each strategy prefers, on scores that are written down; and a pool where entropy alone is misled."""

from __future__ import annotations

import numpy as np
import pytest
from made_pool import CLASSES, found, image, planted

from tuning.selection import picking, strategies

UNSURE, SURE, FAINT = [0.5, 0.1, 0.1], [0.98, 0.01, 0.01], [0.06, 0.01, 0.01]


def score(name, one, counts=(1, 1, 1)):
    return strategies.get(name).score(one, np.array(counts))


def first(name, images, count=1, seed=0):
    names = [each.name for each in images]
    picked = picking.pick(strategies.get(name), lambda: iter(images), names, count, CLASSES, seed)
    return [names[each.place] for each in picked]


def test_the_entropy_of_a_box_is_that_of_its_class_scores_in_bits():
    assert score("entropy", image("a", [[0.5, 0.5, 0.5]])) == pytest.approx(3.0)
    assert score("entropy", image("a", [[0.5, 1.0, 0.0]])) == pytest.approx(1.0, abs=1e-6)
    # -.25 log2 .25 - .75 log2 .75
    assert score("entropy", image("a", [[0.25, 0.0, 0.0]])) == pytest.approx(0.811278, abs=1e-5)


def test_sum_mean_and_maximum_over_boxes():
    two = image("a", [[0.5, 0.0, 0.0], [0.25, 0.0, 0.0]])
    assert score("entropy", two) == pytest.approx(1.811278, abs=1e-5)
    assert score("entropy-mean", two) == pytest.approx(0.905639, abs=1e-5)
    assert score("entropy-max", two) == pytest.approx(1.0, abs=1e-5)
    assert score("box-count", two) == 2


@pytest.mark.parametrize("name", ["margin", "least-confident"])
def test_a_box_in_doubt_counts_one_and_a_sure_one_or_a_faint_one_little(name):
    assert score(name, image("a", [[0.5, 0.0, 0.0]])) == pytest.approx(1.0)
    assert score(name, image("a", [SURE])) < 0.1
    assert score(name, image("a", [FAINT])) < 0.2


def test_a_margin_sees_two_classes_that_are_alike_and_a_faint_box_below_the_least_score_is_none():
    assert score("margin", image("a", [[0.6, 0.6, 0.0]])) == pytest.approx(1.0)
    assert score("entropy", image("a", [[0.04, 0.0, 0.0]])) == 0


def test_a_rare_class_counts_more():
    common, rare = image("a", [[0.5, 0.01, 0.01]]), image("b", [[0.01, 0.01, 0.5]])
    counts = (990, 8, 2)
    assert score("class-balanced", rare, counts) == pytest.approx(
        score("class-balanced", common, counts) * 991 / 3, rel=1e-5
    )


def test_detectors_that_agree_score_nothing_and_a_box_that_one_misses_its_score():
    same = found([SURE, UNSURE])
    assert score("disagreement", image("a", [SURE, UNSURE], other=same)) == pytest.approx(0, abs=1e-6)
    assert score("disagreement", image("a", [SURE, UNSURE], other=found([SURE]))) == pytest.approx(0.5)
    assert score("disagreement", image("a", [SURE], other=found([SURE, UNSURE]))) == pytest.approx(0.5)
    moved = found([SURE], [[0.0, 0.25, 0.1, 0.75]])  # overlaps by a third
    assert score("flip-disagreement", image("a", [SURE], mirrored=moved)) == pytest.approx(
        2 * 0.98 * 2 / 3, rel=1e-4
    )


def test_a_core_set_covers_the_pool():
    corners = {"a.jpg": (0, 0), "b.jpg": (0.1, 0), "c.jpg": (9, 0), "d.jpg": (0, 9), "e.jpg": (9.1, 0)}
    images = [image(name, embedding=place) for name, place in corners.items()]
    assert set(first("core-set", images, 3)) in ({"b.jpg", "e.jpg", "d.jpg"}, {"a.jpg", "e.jpg", "d.jpg"})


@pytest.mark.parametrize("seed", range(5))
def test_diverse_entropy_finds_the_rare_class_where_near_duplicates_mislead_entropy(seed):
    images, rare = planted(seed)
    by_entropy, by_both = (
        set(first(name, images, 30, seed)) & rare for name in ("entropy", "diverse-entropy")
    )
    at_random = 30 * len(rare) / len(images)
    assert len(by_entropy) == 0
    assert len(by_both) >= 2 * at_random


def test_frames_beside_each_other_are_not_picked_together_unless_they_look_different():
    look = 0b1011 << 40
    # frames 0 to 9 of a video; six bits between neighbours, more than near duplicates have
    video = [image(f"drive_{i:04d}.jpg", [UNSURE], look ^ (0b111111 * (i % 2))) for i in range(10)]
    cut = image("drive_0010.jpg", [UNSURE], look=0x5555_5555_5555_5555)  # another scene begins
    # frame 7 is more than five frames after the first, and frame 9 the same picture as frame 7
    assert first("entropy", [*video, cut], 11) == ["drive_0000.jpg", "drive_0007.jpg", "drive_0010.jpg"]


def test_photographs_that_are_numbered_are_no_video():
    photographs = [image(f"photo{i}.jpg", [UNSURE]) for i in range(9)]
    assert len(first("entropy", photographs, 9)) == 9


def test_near_duplicates_are_taken_only_to_fill_up_and_last():
    images = [
        image(name, [UNSURE], look=look) for name, look in {"a.jpg": 7, "b.jpg": 7, "c.jpg": 7 << 40}.items()
    ]
    names = [each.name for each in images]
    for fill, wanted in ((False, [0, 2]), (True, [0, 2, 1])):
        picked = picking.pick(strategies.get("entropy"), lambda: iter(images), names, 3, CLASSES, fill=fill)
        assert [each.place for each in picked] == wanted
