"""Snapshot: the values of variables at one moment, which can be written while training goes on.

`tf.train.Checkpoint` collects a model's thousand variables in Python at every write, which takes longer than writing
them, and must not run in parallel with a training step. Here they are collected once, and then read all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow.python.checkpoint.graph_view import ObjectGraphView
from tensorflow.python.checkpoint.save_util import serialize_graph_view
from tensorflow.python.trackable.base import OBJECT_GRAPH_PROTO_KEY

from trainers.keras_training.variables import set_all, values_of


class SavedVariables:
    """The variables in a checkpoint of `root`, by their names in the checkpoint."""

    def __init__(self, root: tf.train.Checkpoint) -> None:
        found, _, _, graph = serialize_graph_view(ObjectGraphView(root))
        by_name = {name: found_in for found_in, values in found.items() for name in values}
        self._names = list(by_name)
        # variables of mixed-precision layers are wrapped
        self._variables: list[tf.Variable] = [getattr(each, "obj", each) for each in by_name.values()]
        self._graph = tf.constant(graph.SerializeToString())

    def snapshot(self) -> Snapshot:
        """The current values. Takes milliseconds: a value is copied only when its variable changes."""
        values = [*values_of(self._variables), self._graph]
        return Snapshot([*self._names, OBJECT_GRAPH_PROTO_KEY], values)

    def restore(self, prefix: Path) -> None:
        """Restore the variables from a checkpoint. Raises tf.errors.OpError if one is missing or has another shape."""
        values = tf.raw_ops.RestoreV2(
            prefix=str(prefix),
            tensor_names=self._names,
            shape_and_slices=[""] * len(self._names),
            dtypes=[variable.dtype for variable in self._variables],
        )
        set_all(self._variables, values)


class Snapshot:
    """Values of variables, by their names in the checkpoint."""

    def __init__(self, names: Sequence[str], values: Sequence[tf.Tensor]) -> None:
        self._names = names
        self._values = values

    def write(self, prefix: Path) -> None:
        """Write a checkpoint that `tf.train.Checkpoint` can read; one operation, which releases the GIL."""
        tf.raw_ops.SaveV2(
            prefix=str(prefix),
            tensor_names=self._names,
            shape_and_slices=[""] * len(self._names),
            tensors=self._values,
        )
