"""PackedTrial: an ended Optuna trial compressed to about 1 kB in memory, so that a study can have very many."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any

from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial

# attributes of FrozenTrial that take 24 of its 25 kB
PACKED_FIELDS = ("_params", "_distributions", "_user_attrs", "intermediate_values")


class PackedTrial(FrozenTrial):
    """Reads like the trial that it was made of. The large attributes are decompressed at each access."""

    def __init__(self, trial: FrozenTrial) -> None:
        vars(self).update({name: value for name, value in vars(trial).items() if name not in PACKED_FIELDS})
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
        if name not in PACKED_FIELDS:
            raise AttributeError(name)
        value = json.loads(zlib.decompress(self._packed))[name]
        if name == "_distributions":
            return {key: json_to_distribution(text) for key, text in value.items()}
        return dict(value)


def pack(storage: JournalStorage, trials: Iterable[FrozenTrial]) -> None:
    """Replace `trials`, which must be finished, by PackedTrials in the memory of `storage`."""
    kept = storage._replay_result._trials
    for trial in trials:
        if not isinstance(trial, PackedTrial):
            kept[trial._trial_id] = PackedTrial(trial)
