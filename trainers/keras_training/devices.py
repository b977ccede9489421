"""Limits TensorFlow's threads and its share of a GPU in this process."""

from __future__ import annotations

import os
import re
import subprocess
import warnings

import tensorflow as tf

from trainers.errors import UserError

BFLOAT16_FROM = (
    8,
    0,
)  # compute capability of NVIDIA's Ampere, the first with bfloat16 (CUDA C++ guide, table 18)


def configure(cpus: int, gpu_fraction: float = 0.0) -> None:
    """Limit TensorFlow's resources. Must be called before its first operation in this process, else it only warns.

    cpus: threads for operations, so that several workers on one machine do not compete for its cores.
    gpu_fraction: 0 hides all GPUs; between 0 and 1, limits memory to this share of the first visible GPU, so that
        several trials fit on one; 1, or a number of GPUs, allocates memory as needed.
    """
    try:
        tf.config.threading.set_intra_op_parallelism_threads(cpus)
        tf.config.threading.set_inter_op_parallelism_threads(cpus)
    except RuntimeError:  # for example in a notebook
        warnings.warn(
            "TensorFlow is already in use in this process: its threads and devices cannot be changed",
            stacklevel=2,
        )
        return
    gpus = tf.config.list_physical_devices("GPU")
    if gpu_fraction <= 0:
        tf.config.set_visible_devices([], "GPU")
        return
    limit = memory_limit_mib(total_memory_mib() if gpus and gpu_fraction < 1 else None, gpu_fraction)
    for gpu in gpus:
        if limit is None:
            tf.config.experimental.set_memory_growth(gpu, True)
        else:
            tf.config.set_logical_device_configuration(
                gpu, [tf.config.LogicalDeviceConfiguration(memory_limit=limit)]
            )


def shared(gpus: float) -> list[str]:
    """The names of the GPUs that share each step of a trial which has so many; none with one, a part of one, or none."""
    if gpus <= 1:
        return []
    found = tf.config.list_logical_devices("GPU")[: int(gpus)]
    if len(found) < int(gpus):
        raise UserError(f"a trial is to train on {gpus:g} GPUs, and TensorFlow finds {len(found)} here")
    return [device.name for device in found]


def memory_limit_mib(total_mib: int | None, gpu_fraction: float) -> int | None:
    """The memory limit in MiB for a share of a GPU with `total_mib`, minus a tenth for CUDA itself; None: no limit."""
    if gpu_fraction >= 1 or total_mib is None:
        return None
    return int(total_mib * gpu_fraction * 0.9)


def check_precision(precision: str) -> None:
    """Raise UserError if a visible GPU does not support `precision`; CPUs do, slowly."""
    if precision == "float32":
        return
    for gpu in tf.config.get_visible_devices("GPU"):
        about = tf.config.experimental.get_device_details(gpu)
        capability = about.get("compute_capability", BFLOAT16_FROM)
        if capability < BFLOAT16_FROM:
            name, number = about.get("device_name", "the GPU"), ".".join(map(str, capability))
            raise UserError(
                f"{name}: {precision} needs compute capability 8.0, but this GPU has {number}; "
                "leave --precision out"
            )


def total_memory_mib() -> int | None:
    """Memory of the first visible GPU in MiB according to nvidia-smi; None if it is not available.

    Raises UserError if it is a part of a divided GPU (MIG) whose memory its profile does not tell.
    """
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first.startswith("MIG-"):
        return _mig_memory_mib(first)
    answer = _nvidia_smi("--query-gpu=memory.total", "--format=csv,noheader,nounits")
    if answer is None:
        return None
    memories = [int(line) for line in answer.split()]
    return (
        memories[int(first)]
        if first.isdigit() and int(first) < len(memories)
        else min(memories, default=None)
    )


def _mig_memory_mib(uuid: str) -> int:
    """By the profile in a line such as "MIG 1g.5gb Device 0: (UUID: MIG-...)"; several 1c.2g.10gb share their memory."""
    lines = (_nvidia_smi("-L") or "").splitlines()
    line = next((line for line in lines if f"UUID: {uuid})" in line), "")
    found = re.search(r"\bMIG \d+g\.(\d+)gb", line)
    if found is None:
        raise UserError(
            f"{uuid}: a fraction of a MIG device needs its memory, which `nvidia-smi -L` does not tell; "
            "give each trial the whole device"
        )
    return int(found[1]) * 10**9 // 2**20


def _nvidia_smi(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout
