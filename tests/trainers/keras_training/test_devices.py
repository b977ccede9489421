"""What a worker takes of the machine. There is no GPU here: the decisions are tested, not the device."""

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
    from trainers.keras_training.devices import memory_limit_mib

    assert memory_limit_mib(total, fraction) == limit


@pytest.mark.slow
def test_a_gpus_memory_is_what_the_driver_says(tmp_path, monkeypatch):
    from trainers.keras_training.devices import total_memory_mib

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


@pytest.mark.slow
def test_a_part_of_a_divided_gpu_has_the_memory_of_its_profile_or_is_refused(tmp_path, monkeypatch):
    from trainers.errors import UserError
    from trainers.keras_training.devices import total_memory_mib

    tool = tmp_path / "nvidia-smi"
    lines = [
        "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1)",
        "  MIG 3g.20gb     Device  0: (UUID: MIG-a)",
        "  MIG 1g.5gb      Device  1: (UUID: MIG-b)",
        "  MIG 1c.3g.20gb  Device  2: (UUID: MIG-c)",
    ]
    tool.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for device, memory in (("MIG-a,MIG-b", 19_073), ("MIG-b", 4_768)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", device)
        assert total_memory_mib() == memory
    for device in ("MIG-c", "MIG-unknown"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", device)
        with pytest.raises(UserError, match=rf"^{device}: a fraction of a MIG device needs its memory"):
            total_memory_mib()


@pytest.fixture
def decided(monkeypatch):
    """What TensorFlow is told, by the name of the call; with two GPUs of 16,000 MiB."""
    import tensorflow as tf

    from trainers.keras_training import devices

    told = {}

    def note(name):
        return lambda *words: told.setdefault(name, []).append(words)

    monkeypatch.setattr(
        tf.config.threading, "set_intra_op_parallelism_threads", note("threads of one operation")
    )
    monkeypatch.setattr(tf.config.threading, "set_inter_op_parallelism_threads", note("operations at once"))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["first", "second"])
    monkeypatch.setattr(tf.config, "set_visible_devices", note("visible"))
    monkeypatch.setattr(tf.config, "set_logical_device_configuration", note("limit"))
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", note("growth"))
    monkeypatch.setattr(devices, "total_memory_mib", lambda: 16_000)
    return told


@pytest.mark.slow
def test_a_worker_takes_as_many_threads_as_cpus_are_its_own_and_no_gpu_unless_it_was_given_one(decided):
    from trainers.keras_training import devices

    devices.configure(cpus=1)
    assert decided == {
        "threads of one operation": [(1,)],
        "operations at once": [(1,)],
        "visible": [([], "GPU")],
    }


@pytest.mark.slow
def test_several_workers_on_a_gpu_have_a_limit_each_and_a_worker_alone_takes_what_it_needs(decided):
    from trainers.keras_training import devices

    devices.configure(cpus=4, gpu_fraction=0.5)
    assert [limits[0].memory_limit for _, limits in decided.pop("limit")] == [7_200, 7_200]
    assert "growth" not in decided

    devices.configure(cpus=4, gpu_fraction=1.0)
    assert decided["growth"] == [("first", True), ("second", True)]
    assert "limit" not in decided
    assert "visible" not in decided


@pytest.mark.slow
def test_bfloat16_is_refused_where_the_gpu_lacks_it_and_a_cpu_takes_both(monkeypatch):
    import tensorflow as tf

    from trainers.errors import UserError
    from trainers.keras_training import devices

    for precision in ("float32", "bfloat16"):
        devices.check_precision(precision)  # no GPU is here

    def of(capability):
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
        about = {"device_name": "Tesla T4", "compute_capability": capability}
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: about)

    of((8, 6))
    devices.check_precision("bfloat16")
    of((7, 5))
    devices.check_precision("float32")
    with pytest.raises(
        UserError, match=r"Tesla T4: bfloat16 needs compute capability 8.0, but this GPU has 7.5"
    ):
        devices.check_precision("bfloat16")
