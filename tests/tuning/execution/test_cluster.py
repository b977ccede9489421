"""Workers are planned from the machines of the cluster: a table of them in, workers or one line out."""

from __future__ import annotations

import math

import pytest

from trainers.errors import UserError
from tuning.execution.cluster import Node, Room, Workers, fit, nodes_of, plan, waiting

HEAD = Node("head", 4)
A10 = Node("a10", 8, 1, 32 * 2**30, "A10G")
TWO = Node("two", 16, 2)
BIG = Node("big", 96, 8, kind="A100")


@pytest.mark.parametrize(
    ("nodes", "asked", "found"),
    [
        # a CPU head and GPU workers: one trial a GPU, none on the head
        ([HEAD, A10, A10], {}, Workers(2, 8, 1)),
        ([HEAD, A10, BIG], {}, Workers(9, 8, 1)),
        ([HEAD, TWO, BIG], {"trials": 4}, Workers(4, 24, 1)),
        ([HEAD, BIG], {"workers": 2}, Workers(2, 48, 1)),
        ([HEAD, TWO], {"gpus": 0.5}, Workers(4, 4, 0.5)),
        ([HEAD, TWO], {"gpus": 0.5, "cpus": 8}, Workers(2, 8, 0.5)),
        ([HEAD, TWO, BIG], {"gpus": 2}, Workers(5, 16, 2)),
        # more than there is room for: the cluster may grow
        ([HEAD, A10], {"workers": 5}, Workers(5, 8, 1)),
        # only CPUs: one worker a machine, with the CPUs of the smallest
        ([HEAD, Node("c", 16)], {}, Workers(2, 4, 0)),
        ([Node("c", 16)], {"cpus": 4, "workers": 3}, Workers(3, 4, 0)),
        ([HEAD, A10], {"gpus": 0, "workers": 3}, Workers(3, 4, 0)),
        # machines that the cluster has yet to start
        ([Node("head", 0)], {"autoscale": True, "workers": 8, "cpus": 6, "gpus": 1}, Workers(8, 6, 1)),
        ([Node("head", 0)], {"autoscale": True, "workers": 8, "cpus": 6, "trials": 3}, Workers(3, 6, 0)),
        # memory: 8 GPUs, but room for 3 workers
        ([Node("b", 96, 8, 13 * 2**30)], {"worker_bytes": 4 * 2**30}, Workers(3, 32, 1)),
    ],
)  # fmt: skip
def test_workers_follow_the_machines(nodes, asked, found):
    assert plan(nodes, **asked) == found


@pytest.mark.parametrize(
    ("nodes", "asked", "says"),
    [
        ([HEAD], {"gpus": 1}, "--gpus-per-trial 1: no machine has so many GPUs (head: 4 CPUs); give"),
        ([HEAD, A10], {"gpus": 2}, "--gpus-per-trial 2: no machine has so many GPUs (head: 4 CPUs; a10: 8 CPUs, 1"),
        ([HEAD, A10], {"cpus": 16}, "--cpus-per-trial 16: no machine has so many CPUs (head: 4 CPUs; a10"),
        ([HEAD, A10], {"cpus": 8, "gpus": 1, "worker_bytes": 64 * 2**30}, "no machine has room for a worker of 8 CPUs"),
        ([], {}, "the Ray cluster has no machine"),
        ([HEAD], {"autoscale": True, "workers": 8}, "--autoscale needs --workers and --cpus-per-trial"),
    ],
)  # fmt: skip
def test_a_plan_that_can_never_be_placed_is_one_line_with_what_there_is(nodes, asked, says):
    with pytest.raises(UserError) as error:
        plan(nodes, **asked)
    assert str(error.value).startswith(says)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("gpus", "count"), [(1.0, 8), (0.5, 16), (0.3, 24), (2.0, 4), (3.0, 2)])
def test_workers_share_whole_devices(gpus, count):
    assert fit(BIG, 1, gpus) == count


def test_what_is_lacking_is_said():
    assert waiting([HEAD, A10], Workers(4, 8, 1)) == "waiting for 3 GPUs (1 of 4 workers have a place)"
    assert waiting([HEAD], Workers(2, 4, 0)) == "waiting for 4 CPUs (1 of 2 workers have a place)"
    assert waiting([A10, A10], Workers(2, 8, 1)) == ""


def test_the_machines_are_those_that_live():
    rows = [
        {"Alive": True, "NodeManagerAddress": "10.0.0.1", "NodeName": "10.0.0.1", "Resources": {"CPU": 4.0}},
        {
            "Alive": True, "NodeManagerAddress": "10.0.0.2", "NodeName": "gpu-2",
            "Resources": {"CPU": 8.0, "GPU": 1.0, "memory": 1e9, "accelerator_type:A10G": 1.0},
        },
        {"Alive": False, "NodeManagerAddress": "10.0.0.3", "Resources": {}},
    ]  # fmt: skip
    assert nodes_of(rows) == [Node("10.0.0.1", 4, 0, math.inf), Node("gpu-2", 8, 1, 1e9, "A10G")]


def test_the_room_for_workers_follows_the_machines(monkeypatch):
    rows = [{"Alive": True, "NodeManagerAddress": "a", "Resources": {"CPU": 8.0, "GPU": 2.0}}]
    monkeypatch.setattr("ray.nodes", lambda: rows)
    clock = [100.0]
    monkeypatch.setattr("tuning.execution.cluster.time.monotonic", lambda: clock[0])
    room = Room(cpus=2, gpus=1)
    assert room() == 2
    rows.append(rows[0] | {"NodeManagerAddress": "b"})
    assert room() == 2  # not asked at every proposal
    clock[0] += 60
    assert room() == 4
    rows.clear()
    clock[0] += 60
    assert room() == 1  # a trial waits for the next machine
