"""The average of several trials' checkpoints, as a checkpoint: a "model soup" (Wortsman et al. 2022).

It is worth trying for trainings that began from the same weights, which end close enough to each other that what lies
between them is a good network too. That of trainings from different random weights is not.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from trainers.errors import UserError
from trainers.files import replace_folder
from trainers.keras_training.checkpoint import PREFIX, PROGRESS

AVERAGED = ("model/", "averaging/")  # what evaluation and export need; the rest is the optimizer's
SLOT = "/.OPTIMIZER_SLOT/"  # in the names of the optimizer's state of a variable, behind that of the variable


def average(checkpoints: Sequence[Path], target: Path) -> None:
    """Write to the folder `target`, atomically, the first checkpoint with the mean of the weights of all.

    The running statistics of batch normalisation are averaged too. Step, recipe and the optimizer's state are those of
    the first. Raises UserError if a checkpoint cannot be read, or is of another network.
    """
    readers = [_reader(each) for each in checkpoints]
    first, *others = readers
    shapes = first.get_variable_to_shape_map()
    names = sorted(name for name in shapes if name.startswith(AVERAGED) and SLOT not in name)
    for path, reader in zip(checkpoints[1:], others, strict=True):
        theirs = reader.get_variable_to_shape_map()
        if different := [name for name in names if theirs.get(name) != shapes[name]]:
            raise UserError(
                f"{path}: has no such variable as {different[0]} of {checkpoints[0]}: another network"
            )
    values = {name: first.get_tensor(name) for name in sorted(shapes)}
    for name in names:
        if np.issubdtype(np.asarray(values[name]).dtype, np.floating):
            mean = np.mean([np.asarray(reader.get_tensor(name), np.float64) for reader in readers], axis=0)
            values[name] = mean.astype(np.asarray(values[name]).dtype)
    with replace_folder(target) as folder:
        tf.raw_ops.SaveV2(
            prefix=str(folder / PREFIX),
            tensor_names=list(values),
            shape_and_slices=[""] * len(values),
            tensors=[tf.constant(value) for value in values.values()],
        )
        shutil.copy(checkpoints[0] / PROGRESS, folder / PROGRESS)


def _reader(checkpoint: Path) -> tf.train.CheckpointReader:
    try:
        return tf.train.load_checkpoint(str(checkpoint / PREFIX))
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{checkpoint}: cannot be read as a checkpoint: {str(error).splitlines()[0]}"
        ) from None
