"""Machines whose clocks are apart are said; where S3 would refuse what they sign, the search is refused."""

from __future__ import annotations

import time

import pytest

from trainers.errors import UserError
from tuning.execution.machines.clocks import ahead_by_machine, check, seconds_ahead


@pytest.mark.parametrize("apart", [-40.0, 0.0, 40.0])
def test_what_a_call_takes_is_no_difference_of_clocks(apart):
    def ask() -> float:
        time.sleep(0.02)
        return time.time() + apart

    assert seconds_ahead(ask) == pytest.approx(apart, abs=1.0)


def test_clocks_that_agree_are_not_mentioned():
    assert check({"a": 0.0, "b": -4.0}, in_s3=True) == []


def test_a_clock_that_is_apart_is_said_with_its_machine_and_direction():
    assert check({"a": 0.0, "b": -40.0, "c": 3000.0}, in_s3=False) == [
        "the clock of b is 40 s behind this machine's: times in its trials' files are that far apart",
        "the clock of c is 3000 s ahead of this machine's: times in its trials' files are that far apart",
    ]


def test_a_clock_whose_signatures_s3_refuses_is_one_line():
    with pytest.raises(
        UserError, match=r"clock of b is 900 s ahead .* S3 refuses what it signs; set it by NTP"
    ):
        check({"b": 900.0}, in_s3=True)


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_each_machine_of_a_real_ray_is_asked():
    assert set(ahead_by_machine().values()) == {0.0}
