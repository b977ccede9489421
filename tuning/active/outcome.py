"""Outcome: what one step of a simulation found, in its folder; written last, so that a step that has one is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainers.errors import UserError
from trainers.files import write_text

NAME = "outcome.json"


@dataclass(frozen=True)
class Outcome:
    """The result of a training in a simulation.

    labels: images that it was trained on. added: positions of those that came in this cycle, among the training images
    of the data set. metrics: on the validation images, by name (Metrics.flat).
    seconds_training: of the gradient steps. seconds_selecting: of scoring the pool and picking. seconds: of the step.
    failure: why the training failed, in one line; then there are no metrics, and its strategy ends here for this seed.
    recipe: the best of those that were tried in this step, in plain values; None if the recipe was not searched.
    trial: the folder of its training, within that of the step's trial.
    """

    labels: int
    added: tuple[int, ...]
    metrics: Mapping[str, float]
    seconds_training: float
    seconds_selecting: float
    seconds: float
    failure: str = ""
    recipe: Mapping[str, Any] | None = None
    trial: str = "."

    def write(self, folder: Path) -> None:
        """Write it into a step's folder, atomically."""
        write_text(folder / NAME, json.dumps(asdict(self)) + "\n")


def read(folder: Path) -> Outcome | None:
    """The outcome in a step's folder; None if the step is not done. Raises UserError if it is damaged."""
    file = folder / NAME
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        return Outcome(**fields | {"added": tuple(fields["added"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        line = " ".join(str(error).split())[:120]
        raise UserError(f"{file}: is damaged ({line}); delete {folder} to train it again") from None
