"""The contract of a strategy, held by every registered one."""

from __future__ import annotations

import numpy as np
import pytest
from made_pool import CLASSES, FEATURES, found, image

from trainers.errors import UserError
from tuning.selection import picking, strategies


@pytest.fixture(params=strategies.all_strategies())
def strategy(request):
    return strategies.get(request.param)


@pytest.fixture(scope="module")
def pool():
    generator = np.random.default_rng(3)
    return [
        image(
            f"photo-{'abcdefghijklmnopqrstuvwxyz'[i]}.jpg",
            generator.uniform(0.06, 0.95, (i % 5, CLASSES)),
            look=int(generator.integers(0, 2**63)),
            embedding=generator.normal(size=FEATURES),
            mirrored=found(generator.uniform(0.06, 0.95, (i % 4, CLASSES))),
            other=found(generator.uniform(0.06, 0.95, (i % 3, CLASSES))),
        )
        for i in range(26)
    ]


def picks(strategy, pool, count, seed=0, **more):
    names = [each.name for each in pool]
    return picking.pick(strategy, lambda: iter(pool), names, count, CLASSES, seed, **more)


def test_it_picks_as_many_as_asked_each_once_and_the_same_again(strategy, pool):
    picked = picks(strategy, pool, 10)
    assert len({each.place for each in picked}) == len(picked) == 10
    assert picks(strategy, pool, 10) == picked
    assert {each.place for each in picks(strategy, pool, len(pool))} == set(range(len(pool)))


def test_it_says_what_it_is_and_needs(strategy):
    assert strategy.title
    assert strategy.source
    assert strategy.needs <= {"embeddings", "mirrored", "other"}


def test_an_image_without_detections_has_a_finite_score(strategy):
    empty = image("empty.jpg", embedding=np.zeros(FEATURES), mirrored=found([]), other=found([]))
    assert np.isfinite(strategy.score(empty, np.zeros(CLASSES)))


def test_near_duplicates_are_not_picked_together(strategy, pool):
    twins = [
        image(f"twin-{letter}.jpg", each.probabilities, each.look ^ 1, each.embedding, each.boxes,
              mirrored=each.mirrored, other=each.other)
        for letter, each in zip("abcdefgh", pool, strict=False)
    ]  # fmt: skip
    both = pool + twins
    picked = {both[each.place].look & ~1 for each in picks(strategy, both, len(both))}
    assert len(picks(strategy, both, len(both))) == len(picked) == len(pool)


def test_more_than_the_pool_has_are_refused(strategy, pool):
    with pytest.raises(UserError) as refused:
        picks(strategy, pool, 27)
    assert str(refused.value) == "--count 27 is more than the 26 images that can be picked; ask for fewer"


def test_a_strategy_of_embeddings_is_refused_without_them():
    bare = [image(f"{letter}.jpg", [[0.5, 0.1, 0.1]]) for letter in "ab"]
    for name, each in strategies.all_strategies().items():
        if "embeddings" in each.needs:
            with pytest.raises(UserError, match=f"^--strategy {name} needs embeddings"):
                picks(each, bare, 1)


def test_an_unknown_strategy_is_refused_with_the_known():
    with pytest.raises(
        UserError, match=r"^unknown strategy 'best'; known are random, entropy, entropy-mean, "
    ):
        strategies.get("best")
