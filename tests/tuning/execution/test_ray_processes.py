from __future__ import annotations

import os
import subprocess
import sys
import threading
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from ray._private import worker

from trainers.errors import UserError
from tuning.execution import ray_processes

ROOT = Path(__file__).parents[3]


@pytest.fixture
def begun(monkeypatch):
    """Stands in for ray.init; its `outcomes` are what each attempt does."""
    outcomes: list[Exception | None] = []

    def init(**options):
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    monkeypatch.setattr("ray.init", init)
    return outcomes


def test_a_ray_that_timed_out_once_is_started_again(begun):
    begun += [Exception("The current node timed out during startup."), None]
    ray_processes.start(num_cpus=1)
    assert begun == []


def test_a_ray_that_does_not_start_is_one_line(begun):
    begun += [Exception("The current node\ntimed out"), Exception("The current node\ntimed out")]
    with pytest.raises(
        UserError, match=r"^Ray cannot be started on this machine: The current node timed out$"
    ):
        ray_processes.start(num_cpus=1)


@pytest.mark.parametrize(("kind", "ends"), [("raylet", True), ("gcs_server", True), ("log_monitor", False)])
def test_only_the_death_of_what_trials_need_ends_the_driver(monkeypatch, kind, ends):
    looked, died = threading.Event(), []

    def dead_processes():
        looked.set()
        return [(kind, None)]

    monkeypatch.setattr(worker, "_global_node", SimpleNamespace(dead_processes=dead_processes))
    monkeypatch.setattr(ray_processes, "LOOK_SECONDS", 0.01)
    told = threading.Event()

    def note(which: str) -> None:
        died.append(which)
        told.set()

    with ray_processes.watched(note):
        assert looked.wait(30)
        if ends:
            assert told.wait(30)
    assert died == ([kind] if ends else [])


@pytest.mark.slow(15)
def test_nothing_of_a_local_ray_listens_beyond_this_machine(local_ray):
    import ray

    @ray.remote
    class Work:
        def here(self) -> int:
            return os.getpid()

    pid = ray.get(Work.remote().here.remote())
    own = psutil.Process()
    processes = [own, *own.children(recursive=True)]
    assert pid in {process.pid for process in processes}
    listening = [
        (process.name(), connection.laddr.ip)
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len({name for name, _ in listening}) >= 3
    assert not [place for place in listening if not ip_address(place[1].removeprefix("::ffff:")).is_loopback]


# references to Ray's objects, in cycles that only a collection frees, become garbage in a thread while Ray shuts down
COLLECTED_MEANWHILE = """
import threading, time
import ray
from tuning.execution import ray_processes

class Cycle:
    def __init__(self, held=None):
        self.held, self.itself = held, self

ray_processes.start(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
references = [ray.put(number) for number in range(4000)]

def collect():
    while references:
        Cycle(references.pop())
        for _ in range(400):
            Cycle()
        time.sleep(0.0001)

thread = threading.Thread(target=collect)
thread.start()
ray_processes.stop()
thread.join()
print("stopped")
"""


@pytest.mark.slow(8)
def test_a_thread_that_makes_garbage_while_ray_shuts_down_does_not_end_the_process():
    line = [sys.executable, "-c", COLLECTED_MEANWHILE]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "stopped\n"
