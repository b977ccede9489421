"""How much of a GPU a worker takes. There is none here: the decisions are tested, not the device."""

from __future__ import annotations

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("total", "fraction", "limit"),
    [
        (16_000, 0.5, 7_200),  # two trials on a device, a tenth of each share left to CUDA
        (16_000, 0.25, 3_600),
        (16_000, 1.0, None),  # alone on the device: memory grows as needed
        (16_000, 2.0, None),
        (None, 0.5, None),  # the driver does not say how much there is
    ],
)
def test_a_share_of_a_gpu_becomes_a_memory_limit(total, fraction, limit):
    from trainers.object_detection_api.devices import memory_limit_mib

    assert memory_limit_mib(total, fraction) == limit


@pytest.mark.slow
def test_a_gpus_memory_is_what_the_driver_says(tmp_path, monkeypatch):
    from trainers.object_detection_api.devices import total_memory_mib

    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 16384\necho 24576\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert total_memory_mib() == 24576
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert total_memory_mib() == 16384
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert total_memory_mib() is None
