"""Known results: trials of an earlier study on the same data, whose results take the place of training them again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuning.search.scheduler import Scheduler
from tuning.study.step_result import StepResult
from tuning.study.storage.working_copy import fetch_trial
from tuning.study.trial_folder import newest_checkpoint
from tuning.study.trial_record import KNOWN, TrialRecord

# files that each trial has of its own; the note of the MLflow run would lead to the run of the earlier study
OWN = ("recipe.yaml", "mlflow.json")


@dataclass(frozen=True)
class KnownTrial:
    """A trial of an earlier study. source: its study and number, for the user. folder: its files."""

    source: str
    record: TrialRecord
    folder: Path

    @property
    def provenance(self) -> dict[str, str]:
        """That of the trial which takes over its results."""
        return {"name": f"known from {self.source}", "source": "not trained again", KNOWN: self.source}

    def files(self) -> list[Path]:
        """What the trial that takes over its results needs: the newest checkpoint, and all files but OWN."""
        fetch_trial(self.folder, wait=True)
        newest = newest_checkpoint(self.folder)
        files = [path for path in sorted(self.folder.glob("*")) if path.is_file() and path.name not in OWN]
        return files if newest is None else [newest[1], *files]


class KnownResults:
    """The known trials by what they do, which is their recipe's id: data, seed and number of steps are the same.

    tried: ids of the recipes that the new study has trained or taken over.
    """

    def __init__(self, trials: Iterable[KnownTrial] = ()) -> None:
        self._by_recipe = {trial.record.recipe_id: trial for trial in trials}
        self.tried: set[str] = set()

    def take(self, recipe_id: str) -> KnownTrial | None:
        """The known trial with this recipe, once; the recipe counts as tried from now on."""
        found = None if recipe_id in self.tried else self._by_recipe.get(recipe_id)
        self.tried.add(recipe_id)
        return found

    def results(self, trial: TrialRecord, scheduler: Scheduler) -> Sequence[StepResult]:
        """What a worker would report of a trial that has known results: its next rungs, as far as they are known."""
        known = self._by_recipe.get(trial.recipe_id) if KNOWN in trial.provenance else None
        rungs = {rung.step: rung for rung in known.record.rungs} if known else {}
        found = []
        for step in scheduler.rungs_of(trial.number):
            if step > trial.step:
                if step not in rungs:
                    break
                found.append(StepResult(trial.number, step, "rung", metrics=rungs[step].metrics))
        return found
