"""`python -m search_spaces`: a space as a table or JSON, and the list of them."""

import json

import pytest

import search_spaces
from search_spaces.__main__ import main
from search_spaces.conditions import Conditions


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.slow
@pytest.mark.parametrize("name", search_spaces.names())
def test_the_table_shows_every_parameter_with_its_condition_and_every_first_trial(capsys, name):
    assert main([name]) == 0
    printed = capsys.readouterr().out
    space = search_spaces.get(name)
    conditions = Conditions(steps=space.default_steps("laptop"))
    lines = printed.splitlines()
    for row in space.rows(conditions):
        # long choices and conditions go on in the lines below
        first, when = row.values.partition(", ")[0], row.condition.partition(" ")[0]
        shown = [line for line in lines if f" {row.name} " in line and first in line]
        assert any(when in line for line in shown), row.name
    for seed in space.seeds(conditions):
        assert f" {seed.name} " in printed
    assert space.hash(conditions) in printed


def test_without_a_name_the_spaces_are_listed_on_a_narrow_terminal_too(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([]) == 0
    printed = capsys.readouterr().out
    for name in search_spaces.names():
        assert f" {name} " in printed
        space = search_spaces.get(name)
        assert space.hash(Conditions(steps=space.default_steps("laptop"))) in printed


def test_json_holds_the_rows_and_seeds_that_the_search_uses(capsys):
    assert main(["retinanet", "--preset", "zoo", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    space = search_spaces.get("retinanet")
    conditions = Conditions(steps=space.default_steps("zoo"), preset="zoo")
    assert told["hash"] == space.hash(conditions)
    assert [row["name"] for row in told["parameters"]] == [row.name for row in space.rows(conditions)]
    assert [seed["params"] for seed in told["seeds"]] == [seed.params for seed in space.seeds(conditions)]


def test_weights_decide_the_learning_rates(capsys):
    ranges = {}
    for weights in ("none", "zoo"):
        assert main(["mobilenet", "--weights", weights, "--format", "json"]) == 0
        rows = json.loads(capsys.readouterr().out)["parameters"]
        ranges[weights] = next(row["values"] for row in rows if row["name"] == "mobilenet.adam.learning_rate")
    assert ranges["none"] != ranges["zoo"]


def test_an_unknown_space_is_one_line_on_stderr_and_exit_code_2(capsys):
    assert main(["retinnet"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == (
        "",
        "error: unknown space 'retinnet'; did you mean retinanet or retinanet_family or unet?\n",
    )
