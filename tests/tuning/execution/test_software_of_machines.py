"""A machine whose code or libraries are not the driver's trains nothing, and says what differs."""

from __future__ import annotations

import sys

import pytest
from curve_trainer import DATASET, CurveTrainer

from tuning.execution.machines import software as machines
from tuning.execution.machines.software import difference, software
from tuning.execution.worker import Assignment, Worker


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The path of a user's own module."""
    path = tmp_path / "my_trainer.py"
    path.write_text("RATE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return path


def test_the_same_code_and_libraries_differ_in_nothing(module):
    assert difference(software([module.stem])) == ""
    assert difference({}) == ""


def test_the_libraries_and_this_code_are_part_of_it():
    found = software()
    assert found["python"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert found["tensorflow"] != machines.MISSING
    assert {f"the code of {name}" for name in machines.PACKAGES} <= found.keys()


def test_a_users_module_that_differs_or_is_missing_is_named(module):
    driver = software([module.stem])
    module.write_text("RATE = 2\n")
    assert difference(driver).startswith("the code of my_trainer is ")
    module.unlink()
    assert difference(driver).startswith("the code of my_trainer is missing, the driver's ")


def test_what_the_driver_lacks_is_not_compared(module):
    assert difference(software() | {f"the code of {module.stem}": machines.MISSING}) == ""


def test_another_version_of_a_library_is_named():
    said = difference(software() | {"numpy": "1.0"})
    assert said.startswith("numpy is ")
    assert said.endswith("the driver's 1.0 (install the same, and restart its Ray)")


def test_tensorflow_with_and_without_cuda_is_the_same(monkeypatch):
    both = [{"tensorflow": "2.21.0"}, {"tensorflow-cpu": "2.21.0"}]
    found = []
    for versions in both:
        monkeypatch.setattr(
            machines, "_version", lambda name, known=versions: known.get(name, machines.MISSING)
        )
        found.append(software()["tensorflow"])
    assert found == ["2.21.0", "2.21.0"]


def test_a_worker_on_such_a_machine_trains_no_step_and_says_why(tmp_path):
    worker = Worker(
        lambda model, fold: CurveTrainer(DATASET), "detection", unfit="numpy is 1.0, the driver's 2.0"
    )
    worker.begin(Assignment(0, {}, tmp_path / "0", (10,)))
    result = worker.step()
    assert (result.kind, result.steps) == ("progress", ())
    assert "numpy is 1.0, the driver's 2.0" in result.note
    assert not (tmp_path / "0").exists()
