"""The rows of any define-by-run function: every branch found, each with what it depends on."""

import pytest

from search_spaces.parts.parameters import Range, choose, switch
from search_spaces.walk import walk
from trainers.errors import UserError


def conditions_of(suggest):
    return {row.name: row.condition for row in walk(suggest, where="space 'mine'")}


def test_a_parameter_behind_two_independent_choices_is_found_with_both():
    def suggest(trial):
        color = choose(trial, "color", ("red", "green", "blue"))
        size = choose(trial, "size", ("small", "large"))
        if color == "blue" and size == "large":
            trial.suggest_float("depth", 0, 1)
        elif color == "green":
            trial.suggest_float("width", 0, 1)
        if size == "large":
            trial.suggest_float("weight", 0, 1)

    assert conditions_of(suggest) == {
        "color": "",
        "size": "",
        "depth": "color is blue and size is large",
        "width": "color is green",
        "weight": "size is large",
    }


def test_a_nested_parameter_shows_the_nearest_condition_only():
    def suggest(trial):
        if switch(trial, "outer") and switch(trial, "middle") and switch(trial, "inner"):
            trial.suggest_float("strength", 0, 1)

    assert conditions_of(suggest) == {
        "outer": "",
        "middle": "outer is on",
        "inner": "middle is on",
        "strength": "inner is on",
    }


def test_a_parameter_of_several_choices_names_them():
    def suggest(trial):
        if choose(trial, "count", (1, 2, 3)) >= 2:
            trial.suggest_int("gap", 1, 5)

    assert conditions_of(suggest)["gap"] == "count is 2 or 3"


def test_rows_come_in_the_order_in_which_they_are_asked():
    def suggest(trial):
        kind = choose(trial, "kind", ("a", "b"))
        trial.suggest_float(f"{kind}.rate", 0, 1)
        if switch(trial, "noise"):
            trial.suggest_float("noise.level", 0, 1)
        trial.suggest_float("last", 0, 1)

    assert list(conditions_of(suggest)) == ["kind", "a.rate", "b.rate", "noise", "noise.level", "last"]


def test_many_switches_cost_few_walks():
    runs = []

    def suggest(trial):
        runs.append(1)
        for i in range(12):
            if switch(trial, f"switch{i}"):
                trial.suggest_float(f"strength{i}", 0, 1)

    assert len(conditions_of(suggest)) == 24
    assert len(runs) < 500 < 2**12


def test_one_name_with_two_ranges_is_refused():
    def suggest(trial):
        Range(0, 1 if choose(trial, "kind", ("a", "b")) == "a" else 2).suggest(trial, "rate")

    with pytest.raises(
        UserError, match=r"space 'mine': parameter 'rate' is .* in another; give them different names"
    ):
        walk(suggest, where="space 'mine'")


def test_any_two_numbers_meet_at_all_their_ends():
    met = set()

    def suggest(trial):
        values = {name: trial.suggest_int(name, 0, 1) for name in "abcdefg"}
        met.update((x, y, values[x], values[y]) for x in values for y in values if x < y)

    walk(suggest, where="space 'mine'")
    pairs = [(x, y) for x in "abcdefg" for y in "abcdefg" if x < y]
    assert met == {(x, y, i, j) for x, y in pairs for i in (0, 1) for j in (0, 1)}
