"""A worker keeps a few graphs; the one that was asked for longest ago makes room."""

from __future__ import annotations

from trainers.object_detection_api.kept_graphs import KeptGraphs


def test_the_graph_that_was_asked_for_longest_ago_makes_room():
    kept, built = KeptGraphs(most=2), []
    for key in ("a", "b", "a", "c", "a", "b"):
        kept.of(key, lambda key=key: built.append(key) or object())
    assert built == ["a", "b", "c", "b"]


def test_a_graph_that_is_kept_is_the_same():
    kept = KeptGraphs(most=2)
    assert kept.of("a", object) is kept.of("a", object)
