"""Whatever the error by which Ray loses a worker, it is the death of that worker; and those that Ray ends have time."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import (
    ActorDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)
from ray.tune.execution.tune_controller import TuneController

from tuning.execution.machines.lost_workers import counted_as_deaths, given_time

RAISED = RayTaskError("train", "Traceback", ValueError("its own"))


def told(error: Exception) -> tuple[list[Exception], set[str]]:
    """What a manager of actors that has lost a task by this error tells of it, and the actors that it gave up."""
    found: list[Exception] = []
    actor = SimpleNamespace(actor_id="mine", _on_error=None)
    task = SimpleNamespace(_tracked_actor=actor, _on_error=lambda actor, exception: found.append(exception))
    manager = RayActorManager(SimpleNamespace())
    manager._cleanup_actor = lambda tracked_actor: None
    manager._actor_task_failed(task, error)
    return found, manager._failed_actor_ids


@pytest.mark.parametrize(
    "error",
    [OutOfMemoryError("22.4 of 23.6 GB"), NodeDiedError("gone"), WorkerCrashedError(), ActorDiedError()],
)
def test_an_error_of_rays_own_is_the_death_of_the_actor(error):
    with counted_as_deaths():
        (found,), given_up = told(error)
    assert isinstance(found, RayActorError)
    assert str(found) == str(error)
    assert given_up == {"mine"}


def test_an_error_that_the_call_raised_stays_that():
    with counted_as_deaths():
        assert told(RAISED) == ([RAISED], set())


def test_what_is_no_error_of_rays_ends_the_search_and_so_does_any_after_the_block():
    with counted_as_deaths(), pytest.raises(RuntimeError, match="our own"):
        told(KeyError("our own"))
    with pytest.raises(RuntimeError, match=r"of 23\.6"):
        told(OutOfMemoryError("22.4 of 23.6 GB"))


def test_ray_waits_longer_for_workers_that_have_something_to_upload(monkeypatch):
    made = SimpleNamespace()
    monkeypatch.setattr(TuneController, "__init__", lambda self: setattr(made, "controller", self))
    with given_time(70.0):
        TuneController()
    assert made.controller._actor_force_cleanup_timeout == 70.0
    given_up: list[object] = []
    controller, actor = made.controller, object()
    controller._actor_cleanup_timeout, controller._earliest_stopping_actor = 600, 0.0
    controller._stopping_actors = {actor: time.monotonic() - 11}  # seconds, and Ray's own patience is 10

    def ends(timeout: float) -> None:
        given_up.append("not yet")
        controller._stopping_actors.clear()
        controller._actor_manager.is_actor_started = lambda tracked_actor: False

    controller._actor_manager = SimpleNamespace(
        is_actor_started=lambda tracked_actor: True,
        next=ends,
        remove_actor=lambda tracked_actor, kill: given_up.append("killed"),
    )
    controller._cleanup_stopping_actors(force_all=True)
    assert given_up == ["not yet"]
