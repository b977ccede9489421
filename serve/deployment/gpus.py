"""GPUs of a replica: those that Ray gave to it, and no others."""

from __future__ import annotations

import os

from trainers.hardware.machine import VISIBLE


def hide_gpus_of_others() -> None:
    """Leave no GPU to this process if it asked Ray for none: Ray then leaves all of them visible.

    To be called before the process uses CUDA.
    """
    import ray

    if not ray.get_runtime_context().get_accelerator_ids().get("GPU"):
        hide_all_gpus()


def hide_all_gpus() -> None:
    """Leave no GPU to this process and those that it starts. To be called before it uses CUDA."""
    os.environ[VISIBLE] = ""
