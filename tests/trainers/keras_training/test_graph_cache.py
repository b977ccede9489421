"""A worker keeps a few graphs; the least recently used one makes room."""

from __future__ import annotations

from trainers.keras_training.graph_cache import GraphCache


def test_the_graph_that_was_asked_for_longest_ago_makes_room():
    kept, built = GraphCache(most=2), []
    for key in ("a", "b", "a", "c", "a", "b"):
        kept.get(key, lambda key=key: built.append(key) or object())
    assert built == ["a", "b", "c", "b"]


def test_a_graph_that_is_kept_is_the_same():
    kept = GraphCache(most=2)
    assert kept.get("a", object) is kept.get("a", object)
