"""Latencies of another machine, from a table."""

from __future__ import annotations

from pathlib import Path

import pytest

import search_spaces
from search_spaces.conditions import Conditions
from trainers.errors import UserError
from tuning.api.deployment import table
from tuning.api.deployment.architectures import architectures

CONDITIONS = Conditions(steps=90)
ALL = architectures(search_spaces.get("all"), CONDITIONS)
ONE, OTHER, THIRD = search_spaces.get("all").models
SIZES = {each.architecture.fields["model"]: each.architecture.fields["image_size"] for each in ALL}


def written(folder: Path, text: str) -> Path:
    path = folder / "jetson.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_row_is_for_the_networks_that_have_its_values(tmp_path):
    rows = f"model,image_size,latency_ms\n{ONE},9999,99\n{ONE},{SIZES[ONE]},10\n{OTHER},,5\n"
    rows += f"{OTHER},{SIZES[OTHER]},20.5\n{THIRD},{SIZES[THIRD]},30\n"
    found = table.read(written(tmp_path, rows), ALL)
    assert {each.fields["model"]: each.costs for each in found.architectures} == {
        ONE: {"latency_ms": 10.0},
        OTHER: {"latency_ms": 20.5},
        THIRD: {"latency_ms": 30.0},
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "has no column latency_ms; it has none"),
        ("model,ms\nx,3\n", "has no column latency_ms; it has model, ms"),
        (
            "wheels,latency_ms\n4,3\n",
            "no network of this space has 'wheels'; columns may be flip_test, image_size",
        ),
        ("model,latency_ms\nother,3\n", "has no row for"),
        ("model,latency_ms\nother,fast\n", "jetson.csv:2: latency_ms must be a number above 0, not 'fast'"),
        ("model,latency_ms\nother,-1\n", "jetson.csv:2: latency_ms must be a number above 0, not '-1'"),
        ("model,latency_ms\nother\n", "jetson.csv:2: latency_ms must be a number above 0, not ''"),
    ],
)
def test_a_table_that_says_too_little_is_refused_in_one_line(tmp_path, rows, message):
    with pytest.raises(UserError) as error:
        table.read(written(tmp_path, rows), ALL)
    assert message in str(error.value)


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read as a CSV table"):
        table.read(tmp_path / "none.csv", ALL)
