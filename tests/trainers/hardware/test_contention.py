from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainers.hardware.contention import Contention

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """Sets the seconds of the clock, and the CPU seconds of all programs; this one uses none."""
    stat = tmp_path / "stat"
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "times", lambda: os.times_result((0, 0, 0, 0, 0)))

    def at(seconds: float, everybody: float) -> Path:
        monkeypatch.setattr("time.monotonic", lambda: seconds)
        stat.write_text(f"cpu  {round(everybody * TICKS)} 0 0 999 0 0 0 0 0 0\ncpu0 1 1 1\n")
        return stat

    return at


@pytest.mark.parametrize(
    ("threads", "busy", "share"),
    [(4, 0.0, 0.0), (4, 2.0, 0.5), (2, 2.0, 0.0), (2, 3.0, 0.5), (2, 4.0, 1.0)],
)
def test_what_others_take_counts_once_too_few_cpus_are_left(clock, threads, busy, share):
    contention = Contention(threads, clock(10, 100))
    clock(20, 100 + 10 * busy)
    assert contention.share() == pytest.approx(share)


def test_where_nothing_is_known_nothing_is_said(tmp_path):
    assert Contention(1, tmp_path / "none").share() == 0
