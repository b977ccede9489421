"""A token may make so many requests a minute; others are not held up."""

from __future__ import annotations

import pytest

from serve.api.rates import BURST_SECONDS, Rates
from serve.errors import Refused


def test_too_many_requests_are_refused_until_later():
    now = [0.0]
    rates = Rates(60, clock=lambda: now[0])
    for _ in range(int(BURST_SECONDS)):
        rates.count("a")
    with pytest.raises(Refused, match="more than 60 requests a minute") as error:
        rates.count("a")
    assert (error.value.status, error.value.retry_after) == (429, 1)
    rates.count("b")
    now[0] = 1.0
    rates.count("a")
    with pytest.raises(Refused):
        rates.count("a")


def test_a_long_pause_allows_no_more_than_a_burst():
    now = [0.0]
    rates = Rates(60, clock=lambda: now[0])
    rates.count("a")
    now[0] = 10_000.0
    for _ in range(int(BURST_SECONDS)):
        rates.count("a")
    with pytest.raises(Refused):
        rates.count("a")


def test_a_slow_rate_still_lets_one_request_through():
    rates = Rates(0.5, clock=lambda: 0.0)
    rates.count("a")
    with pytest.raises(Refused) as error:
        rates.count("a")
    assert error.value.retry_after == 120
