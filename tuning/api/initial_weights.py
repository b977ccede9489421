"""Resolves `--weights`: the initial weights of a space's models."""

from __future__ import annotations

import concurrent.futures
import importlib
import multiprocessing
from typing import Any

from trainers import model as models
from trainers.errors import UserError
from trainers.recipe import InitialWeights


def resolve(choice: str, preset: str, names: tuple[str, ...]) -> tuple[InitialWeights | None, list[str]]:
    """The initial weights for trials of the models `names`; and messages about them for the user.

    choice: "auto" (the preset's weights), "none" or the path of a checkpoint. preset: "laptop" or "zoo".
    The weights are None when trials use the preset's. May download an archive.
    Raises UserError when the path holds no checkpoint, or a model cannot start from one.
    """
    if choice == "none" or (choice == "auto" and preset == "laptop"):
        return InitialWeights(source="none"), ["trials start from scratch"]
    lacking = [name for name in names if models.get(name).initial_weights is None]
    if lacking and choice != "auto":
        raise UserError(f"--weights {choice}: {lacking[0]} can only start from scratch; give --weights none")
    if lacking:
        return InitialWeights(source="none"), [
            f"{lacking[0]} has no published weights: trials start from scratch"
        ]
    # in a subprocess: reading a checkpoint needs TensorFlow, which the driver does not import
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        resolved = [pool.submit(_resolved, choice, name).result() for name in names]
    messages = [start.message for start in resolved]
    sources = {start.source for start in resolved}
    if len(sources) > 1:  # models must be compared from equal starts, whichever archives could be downloaded
        return InitialWeights(source="none"), [*messages, "so all of them train from scratch"]
    source = sources.pop()
    return (None if source == "zoo" and preset == "zoo" else InitialWeights(source=source)), messages


def _resolved(choice: str, name: str) -> Any:
    module, _, function = str(models.get(name).initial_weights).partition(":")
    return getattr(importlib.import_module(module), function)(choice, name)
