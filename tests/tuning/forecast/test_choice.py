from __future__ import annotations

import re
from pathlib import Path

import pytest

from tuning.api.forecast import choice

BENCHMARKS = Path(__file__).parents[3] / "docs" / "benchmarks.md"


@pytest.mark.parametrize(
    ("sampler", "scheduler", "trainings", "said"),
    [
        ("tpe", "promote", 6, "tpe, promote: regret 0.35 after 5 trainings"),
        ("random", "full", 40, "random, full: regret 0.42; tpe with promote had 0.09 after 20 trainings"),
        ("tpe", "stop", 9, "tpe, stop: not measured; tpe with promote had 0.18 after 10 trainings"),
        ("tpe", "promote", 1, "nothing is measured for so few trainings"),
    ],
)
def test_it_says_what_is_known_at_the_nearest_budget(sampler, scheduler, trainings, said):
    assert said in choice.line(sampler, scheduler, trainings)


@pytest.mark.parametrize(
    ("pair", "arm"),
    [
        (("tpe", "promote"), "this search"),
        (("tpe", "full"), "Optuna TPE"),
        (("random", "full"), "random search"),
    ],
)
def test_the_numbers_are_those_of_the_benchmark(pair, arm):
    row = re.search(rf"^\| {arm} \|(.*)$", BENCHMARKS.read_text(encoding="utf-8"), re.M)
    measured = [float(cell.split("±")[0]) for cell in row[1].split("|")[:3]]
    assert list(choice.REGRET[pair].values()) == measured
