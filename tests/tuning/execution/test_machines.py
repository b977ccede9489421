"""Machines that are lost, about to go or unfit: told from each other, and from a process that has died alone."""

from __future__ import annotations

import copy
import errno
import os
import pickle
import socket

import pytest
import ray
from ray.tune.utils import flatten_dict
from searches import search_of

from tuning.execution.machines import leaving_out
from tuning.execution.machines.at_once import AtOnce
from tuning.execution.machines.deaths import Deaths
from tuning.execution.machines.draining import Draining
from tuning.execution.machines.leaving_out import LeftOut, Unfit, writable
from tuning.execution.machines.losses import MachineGone, lost_machine
from tuning.execution.ray_scheduler import StudyScheduler
from tuning.study.step_result import StepResult

DIED = "The actor died unexpectedly before finishing this task. Worker exit detail: connection error code 2"


@pytest.fixture
def raylet(monkeypatch):
    """A machine of the cluster at 127.0.0.1, whose raylet listens until it is closed."""
    listening = socket.create_server(("127.0.0.1", 0))
    rows = [{"Alive": True, "NodeManagerAddress": "127.0.0.1", "NodeManagerPort": listening.getsockname()[1]}]
    monkeypatch.setattr(ray, "nodes", lambda: rows)
    yield listening
    listening.close()


@pytest.mark.parametrize(
    ("said", "machine"),
    [
        ("The actor died because its node has died. Its node was terminated: 10.77.0.2", "10.77.0.2"),
        ("The actor died because its node has died. Node Id: ab12", "a machine"),
        (DIED, ""),
        (str(MachineGone("10.0.0.7", "is about to go")), ""),
        (f"Traceback ...\nMachineGone: {MachineGone('10.0.0.7', 'is about to go')}", "10.0.0.7"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("raylet")
def test_ray_and_the_worker_may_say_it(said, machine):
    assert lost_machine(RuntimeError(said)) == machine


def test_what_a_worker_says_of_its_machine_survives_being_copied_and_sent():
    gone = MachineGone("10.0.0.7", "is about to go")
    for other in (copy.copy(gone), pickle.loads(pickle.dumps(gone))):
        assert (str(other), other.address) == ("<10.0.0.7> is about to go", "10.0.0.7")


@pytest.mark.usefixtures("raylet")
def test_a_process_that_died_alone_is_no_lost_machine():
    assert lost_machine(RuntimeError(DIED), "127.0.0.1") == ""
    assert lost_machine(None, "127.0.0.1") == lost_machine(None) == ""
    assert lost_machine(RuntimeError(f"{DIED}\n\tip: 127.0.0.1\nThe actor is dead because ...")) == ""


def test_a_machine_that_no_longer_answers_is_lost_though_ray_says_it_of_the_process(raylet):
    raylet.close()
    assert lost_machine(RuntimeError(DIED), "127.0.0.1") == "127.0.0.1"
    assert lost_machine(None, "127.0.0.1") == "127.0.0.1"


def test_a_machine_that_has_come_back_was_lost(raylet):
    before = socket.create_server(("127.0.0.1", 0))
    ray.nodes().append(ray.nodes()[0] | {"NodeManagerPort": before.getsockname()[1]})
    before.close()
    assert lost_machine(RuntimeError(DIED), "127.0.0.1") == "127.0.0.1"


def test_the_machine_that_rays_error_names_counts_and_not_the_one_where_the_trial_was_before(raylet):
    raylet.close()
    died = RuntimeError(
        f"{DIED}\n\tclass_name: TrialWorker\n\tpid: 17\n\tip: 127.0.0.1\nThe actor is dead because ..."
    )
    assert lost_machine(died, "10.0.0.9") == "127.0.0.1"
    assert lost_machine(died) == "127.0.0.1"


def test_where_nothing_names_the_machine_the_one_that_no_longer_answers_is_it(raylet):
    assert lost_machine(RuntimeError(DIED)) == ""
    raylet.close()
    assert lost_machine(RuntimeError(DIED)) == "127.0.0.1"


@pytest.mark.usefixtures("raylet")
def test_a_machine_that_ray_has_given_up_is_lost_and_one_that_it_never_knew_is_not():
    ray.nodes()[0]["Alive"] = False
    assert lost_machine(RuntimeError(DIED), "127.0.0.1") == "127.0.0.1"
    assert lost_machine(RuntimeError(DIED), "10.0.0.9") == ""


@pytest.mark.parametrize(
    ("losses", "given_up"),
    [
        ([(0, ""), (0, ""), (0, "")], [False, False, True]),
        ([(0, ""), (0, ""), (10, ""), (10, ""), (10, "")], [False, False, False, False, True]),
        ([(0, "n1")] * 9, [False] * 9),
        ([(0, ""), (0, ""), (0, "n1"), (0, "")], [False, False, False, True]),
        ([(10, ""), (10, "n1"), (10, ""), (10, "n1")], [False] * 4),
    ],
)
def test_a_trial_is_given_up_when_its_process_has_died_thrice_without_a_checkpoint_and_never_for_machines(
    losses, given_up
):
    deaths = Deaths()
    deaths.too_many(1, 0, "")  # of another trial
    assert [deaths.too_many(0, saved, machine) for saved, machine in losses] == given_up


def test_while_the_head_is_away_it_is_logged_that_a_drain_notice_is_unknown(caplog):
    assert not ray.is_initialized()
    assert not Draining()()
    assert "whether this machine is about to go is unknown" in caplog.text


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_ray_is_asked_for_a_drain_notice_by_a_call_that_it_has(caplog):
    assert not Draining()()
    assert caplog.text == ""


def test_a_disk_that_is_full_cannot_be_written(tmp_path, monkeypatch):
    assert writable(tmp_path / "new", 2**20)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(leaving_out.tempfile, "TemporaryFile", full)
    assert not writable(tmp_path)


@pytest.mark.parametrize("others", [True, False])
def test_a_machine_that_cannot_train_is_left_out_and_without_others_the_search_ends(
    open_study, monkeypatch, others
):
    """As Ray passes a worker's message on, which it flattens."""
    search = search_of(open_study(), 2)
    number, unfit = search.propose().number, Unfit("ab12", "/studies", "n4: No space left on device")
    scheduler, left_out = StudyScheduler(search, AtOnce(lambda: 1)), []
    monkeypatch.setattr(scheduler._left_out, "add", left_out.append)
    monkeypatch.setattr(scheduler._left_out, "everywhere", lambda: not others)
    message = {"result": StepResult(number, 0, "progress"), "unfit": unfit, "node_ip": "10.0.0.7"}
    assert scheduler.on_trial_result(None, None, flatten_dict(message)) == ("CONTINUE" if others else "STOP")
    assert left_out == [unfit]
    assert search.stop_reason == (None if others else "n4: No space left on device")


@pytest.mark.slow
def test_a_machine_that_is_left_out_has_no_place_for_a_worker_until_its_disk_can_be_written(
    local_ray, tmp_path
):
    left_out = LeftOut(cpus=ray.cluster_resources()["CPU"], gpus=0)
    assert not left_out.everywhere()
    (tmp_path / "file").write_text("")
    no_folder = str(tmp_path / "file" / "folder")
    left_out.add(Unfit(ray.get_runtime_context().get_node_id(), no_folder, "is full"))
    assert left_out.everywhere()
    worker = ray.remote(num_cpus=1)(lambda: 1).remote()
    assert ray.wait([worker], timeout=2)[0] == []
    for _, actor in left_out._held.values():
        ray.kill(actor)  # as when its machine is gone
    assert ray.get(worker, timeout=60) == 1
    left_out.release()
    assert not left_out.everywhere()
