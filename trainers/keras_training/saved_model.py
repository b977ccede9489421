"""Writing a SavedModel that holds one function and its variables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from trainers.keras_training.disk_errors import os_errors


def write(folder: Path, name: str, function: Any, variables: Sequence[tf.Variable]) -> None:
    """Save the tf.function as `name` of the loaded module and as its `serving_default`, with all variables it reads.

    function: with an `input_signature`.

    The Keras model behind it is left out: each of its layers would be traced, saved and loaded, which took half of an
    export's time. Raises OSError if the disk refuses.
    """
    module = tf.Module()
    module.kept = list(variables)
    setattr(module, name, function)
    log = tf.get_logger()
    level = log.level
    log.setLevel("ERROR")  # it warns about what a module for training would lack
    try:
        with os_errors(folder):
            # of a tf.function, which may have many traces, TensorFlow makes another for the signature
            signatures = {"serving_default": function.get_concrete_function()}
            tf.saved_model.save(module, str(folder), signatures=signatures)
    finally:
        log.setLevel(level)
