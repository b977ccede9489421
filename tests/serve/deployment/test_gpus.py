"""A replica sees the GPUs that Ray gave to it, and no others."""

from __future__ import annotations

import os

import pytest

from serve.deployment.gpus import hide_gpus_of_others
from trainers.hardware.machine import VISIBLE
from tuning.execution import ray_processes

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def test_a_replica_that_asked_for_no_gpu_sees_none_and_another_one_its_own(monkeypatch):
    import ray

    def seen():
        hide_gpus_of_others()
        return os.environ.get(VISIBLE)

    monkeypatch.setenv(VISIBLE, "0,1")
    ray.init(num_cpus=1, num_gpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        without, one = (ray.remote(num_cpus=0, num_gpus=count)(seen) for count in (0, 1))
        assert ray.get(without.remote()) == ""
        assert ray.get(one.remote()) in ("0", "1")
    finally:
        ray_processes.stop()
