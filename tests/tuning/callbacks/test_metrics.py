"""The gauges of a search say what its study says, in a search that is gone on with too."""

from __future__ import annotations

from searches import run_here, search_of

from tuning.callbacks.metrics import GAUGES, STATES, Metrics
from tuning.search.limits.meter import Meter
from tuning.study.spent import Price


def watched(study, price=None):
    """A Metrics, and the values that it sets, by name and labels."""
    found = {}

    def set_(name, value, labels):
        assert set(labels) == {"study", *GAUGES[name][1]}
        found[name, *(labels[key] for key in GAUGES[name][1])] = value

    return Metrics(study, Meter(study, gpus=1), price, lambda: set_), found


def test_they_follow_a_search_and_what_was_lost(open_study):
    study = open_study()
    metrics, found = watched(study)
    search = search_of(study, 6, (metrics,))
    first = search.propose()
    assert found["tuning_trials", "running"] == 1
    search.lost(first.number, "10.0.0.7")
    search.lost(first.number)
    assert (found["tuning_losses", "machine"], found["tuning_losses", "process"]) == (1, 1)
    search.interrupt()
    assert found["tuning_trials", "interrupted"] == 1

    metrics, found = watched(study, price=Price(2.0))
    run_here(search_of(study, 6, (metrics,)))
    states = [record.state for record in study.records()]
    assert {state: found["tuning_trials", state] for state in STATES} == {s: states.count(s) for s in STATES}
    assert found["tuning_best_value", "mAP"] == max(
        r.value for r in study.records() if r.state == "completed"
    )
    assert found["tuning_losses", "machine"] == 1
    assert found["tuning_cost",] == 2 * found["tuning_gpu_hours",] >= 0
    assert set(GAUGES) == {name for name, *_ in found}
