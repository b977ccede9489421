import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from trainers.object_detection_api import compat
from trainers.schedules import ManualStep, Schedule

SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {"kind": "constant", "base": 0.003},
    "cosine": {"kind": "cosine", "base": 0.04},
    "cosine with warm-up": {"kind": "cosine", "base": 0.04, "warmup_rate": 0.013, "warmup": 0.2},
    "cosine with warm-up from 0": {"kind": "cosine", "base": 0.04, "warmup": 0.1},
    "cosine with hold": {"kind": "cosine", "base": 0.04, "hold": 0.3},
    "cosine with both": {"kind": "cosine", "base": 0.04, "warmup_rate": 0.01, "warmup": 0.13, "hold": 0.26},
    "cosine without a step to decay": {"kind": "cosine", "base": 0.04, "warmup": 0.49, "hold": 0.5},
    "drops": {
        "kind": "manual_step",
        "base": 0.01,
        "drops": [{"at": 0.25, "factor": 0.2}, {"at": 0.5, "factor": 0.1}],
    },
    "drops closer than a step": {
        "kind": "manual_step",
        "base": 0.01,
        "drops": [
            {"at": 0.001, "factor": 0.5},
            {"at": 0.002, "factor": 0.25},
            {"at": 0.003, "factor": 0.125},
        ],
    },
    "warm-up to the first drop": {
        "kind": "manual_step",
        "base": 0.01,
        "warmup": True,
        "drops": [{"at": 0.2, "factor": 1.0}, {"at": 0.75, "factor": 0.1}],
    },
    "warm-up to a lower rate": {
        "kind": "manual_step",
        "base": 0.01,
        "warmup": True,
        "drops": [{"at": 0.3, "factor": 0.4}],
    },
    "exponential stairs": {"kind": "exponential", "base": 0.01, "every": 0.2, "factor": 0.5},
    "exponential": {"kind": "exponential", "base": 0.01, "every": 0.3, "factor": 0.1, "staircase": False},
    "exponential with burn-in": {
        "kind": "exponential",
        "base": 0.01,
        "every": 0.1,
        "factor": 0.7,
        "burnin": 0.25,
        "burnin_rate": 0.001,
    },
    "exponential with a floor above its burn-in": {
        "kind": "exponential",
        "base": 0.01,
        "every": 0.1,
        "factor": 0.5,
        "burnin": 0.25,
        "burnin_rate": 0.0005,
        "min_rate": 0.002,
    },
    "exponential with burn-in at base": {
        "kind": "exponential",
        "base": 0.01,
        "every": 0.1,
        "factor": 0.7,
        "burnin": 0.25,
    },
}


def schedule(fields: dict[str, Any]) -> Any:
    return TypeAdapter(Schedule).validate_python(fields)


@pytest.mark.parametrize("steps", [1, 7, 40])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_rate_is_the_apis_own(name: str, steps: int):
    compat.install()
    import tensorflow as tf
    from object_detection.builders.optimizer_builder import _create_learning_rate

    from trainers.object_detection_api.pipeline_config import learning_rate_proto

    here = schedule(SCHEDULES[name])
    step = tf.Variable(0, dtype=tf.int64)
    api = _create_learning_rate(learning_rate_proto(here, steps), global_step=step)
    for number in range(steps):
        step.assign(number)
        rate = float(api() if callable(api) else api)
        assert here.rate(number, steps) == pytest.approx(rate, rel=1e-5, abs=1e-9), f"at step {number}"


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 300), st.data())
def test_a_rate_is_finite_never_negative_and_never_above_the_schedules_highest(
    name: str, steps: int, data: st.DataObject
):
    rate = schedule(SCHEDULES[name]).rate(data.draw(st.integers(0, steps)), steps)
    assert math.isfinite(rate)
    assert 0 <= rate <= SCHEDULES[name]["base"] * (1 + 1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_means_the_same_at_ten_times_the_budget(name: str):
    here = schedule(SCHEDULES[name])
    for number in range(0, 1000, 10):
        assert here.rate(number, 1000) == pytest.approx(here.rate(10 * number, 10_000), rel=1e-2, abs=1e-5)


@given(st.lists(st.floats(1e-6, 0.999999), min_size=1, max_size=6, unique=True), st.integers(1, 50))
def test_the_steps_of_drops_always_rise(places: list[float], steps: int):
    drops = [{"at": at, "factor": 0.5} for at in sorted(places)]
    found = ManualStep.model_validate({"base": 0.1, "drops": drops}).places(steps)
    assert found[0] >= 1
    assert found == sorted(set(found))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"kind": "linear", "base": 0.1}, "linear"),
        ({"kind": "constant", "base": 0}, "greater than 0"),
        ({"kind": "constant", "base": math.inf}, "finite"),
        ({"kind": "constant", "base": 0.1, "warmup": 0.1}, "Extra inputs"),
        (
            {"kind": "cosine", "base": 0.1, "warmup_rate": 0.2, "warmup": 0.1},
            "warmup_rate 0.2 must not exceed base 0.1",
        ),
        (
            {"kind": "cosine", "base": 0.1, "warmup": 0.6, "hold": 0.4},
            "warmup 0.6 + hold 0.4 must be below 1",
        ),
        ({"kind": "manual_step", "base": 0.1, "drops": []}, "at least 1 item"),
        (
            {
                "kind": "manual_step",
                "base": 0.1,
                "drops": [{"at": 0.5, "factor": 0.1}, {"at": 0.5, "factor": 0.01}],
            },
            "rising order",
        ),
        ({"kind": "manual_step", "base": 0.1, "drops": [{"at": 1, "factor": 0.1}]}, "less than 1"),
        ({"kind": "exponential", "base": 0.1, "every": 0, "factor": 0.5}, "greater than 0"),
        ({"kind": "exponential", "base": 0.1, "every": 0.1, "factor": 1.5}, "less than 1"),
        (
            {"kind": "exponential", "base": 0.1, "every": 0.1, "factor": 0.5, "min_rate": 0.2},
            "min_rate 0.2 must not",
        ),
    ],
)
def test_an_impossible_schedule_is_refused(fields: dict[str, Any], says: str):
    with pytest.raises(ValidationError, match=says.replace("+", r"\+")):
        schedule(fields)
