"""TrainingState: what training adds to a model's variables; each part is built at its first use, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from trainers.keras_training.optimizer import Update
from trainers.keras_training.snapshot import SavedVariables
from trainers.keras_training.weight_averaging import Averaging
from trainers.optimizers import Optimizer


class TrainingState:
    """The optimizers and the moving average of a model's trainable variables, and the content of its checkpoints.

    model: the tf_keras model, as `model` in checkpoints. trainable: its variables that gradients change.
    per_variable: whether these may have learning rates of their own.
    """

    def __init__(self, model: Any, trainable: Sequence[tf.Variable], per_variable: bool = False) -> None:
        self._per_variable = per_variable
        self._in_checkpoints = model
        self._trainable = list(trainable)
        self._updates: dict[str, Update] = {}
        self._averaging: Averaging | None = None
        self._saved: dict[tuple[str | None, bool], SavedVariables] = {}

    def new_update(self, settings: Optimizer) -> Update:
        """An update for this kind of optimizer; a subclass may trace it."""
        return Update(settings, self._trainable, self._per_variable)

    def update(self, settings: Optimizer) -> Update:
        """The update for this kind of optimizer."""
        if settings.kind not in self._updates:
            self._updates[settings.kind] = self.new_update(settings)
        return self._updates[settings.kind]

    def has_update(self, settings: Optimizer) -> bool:
        """Whether the update for this kind of optimizer is built."""
        return settings.kind in self._updates

    @property
    def averaging(self) -> Averaging:
        """The moving average of the trainable variables."""
        if self._averaging is None:
            self._averaging = Averaging(self._trainable)
        return self._averaging

    def saved(self, settings: Optimizer, averaged: bool) -> SavedVariables:
        """The variables in a checkpoint of a trial with such an optimizer, with or without averages."""
        return self._saved_with(settings, averaged)

    def weights(self, averaged: bool) -> SavedVariables:
        """Those of the variables in a checkpoint that evaluation needs: all but the optimizer's."""
        return self._saved_with(None, averaged)

    def _saved_with(self, settings: Optimizer | None, averaged: bool) -> SavedVariables:
        key = (settings.kind if settings else None), averaged
        if key not in self._saved:
            objects = {"model": self._in_checkpoints}
            objects |= {"optimizer": self.update(settings).optimizer} if settings else {}
            objects |= {"averaging": self.averaging} if averaged else {}
            self._saved[key] = SavedVariables(tf.train.Checkpoint(**objects))
        return self._saved[key]
