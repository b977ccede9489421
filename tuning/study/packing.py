"""PackedTrial: an ended trial of an Optuna storage in memory, in a kilobyte, so that a driver can have very many."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any

from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial

# Optuna's own attributes of a trial, which take 24 kB of the 25
HEAVY = ("_params", "_distributions", "_user_attrs", "intermediate_values")


class PackedTrial(FrozenTrial):
    """Reads as the trial that it was made of; what is heavy is unpacked each time it is asked for."""

    def __init__(self, trial: FrozenTrial) -> None:
        vars(self).update({name: value for name, value in vars(trial).items() if name not in HEAVY})
        heavy = {
            "_params": trial.params,
            "_distributions": {
                name: distribution_to_json(kind) for name, kind in trial.distributions.items()
            },
            "_user_attrs": trial.user_attrs,
            "intermediate_values": list(trial.intermediate_values.items()),
        }
        self._packed = zlib.compress(json.dumps(heavy).encode(), level=1)

    def __getattr__(self, name: str) -> Any:
        if name not in HEAVY:
            raise AttributeError(name)
        value = json.loads(zlib.decompress(self._packed))[name]
        if name == "_distributions":
            return {key: json_to_distribution(text) for key, text in value.items()}
        return dict(value)


def pack(storage: JournalStorage, trials: Iterable[FrozenTrial]) -> None:
    """Have `storage` keep its `trials`, which are over for good and change no more, as PackedTrials."""
    kept = storage._replay_result._trials
    for trial in trials:
        if not isinstance(trial, PackedTrial):
            kept[trial._trial_id] = PackedTrial(trial)
