"""Confirmation: trains the best trials of a search again, since one training, or one split, may have been lucky.

The finalists are the trials of full length with the best scores. Each repeat goes to the one with the fewest trainings,
so that their means are equally exact. Either the seed is another each time, which decides the initial weights of new
layers, augmentations and the order of the images; or the images are split anew as well, into folds.
"""

from __future__ import annotations

import math

from trainers import recipe as recipes
from trainers.datasets.splits.folds import Fold
from tuning.search.roster import Roster
from tuning.study.proposal import Proposal
from tuning.study.study import Study
from tuning.study.trial_record import FOLD, REPEATS, TrialRecord, by_score

SEED_STRIDE = 1_000  # between the seeds of a recipe's trainings


class Confirmation:
    """The repeats that a search ends with.

    trainings: their number; 0 for none. The square root of so many finalists share them, at least two: with more, each
        would be trained too seldom to tell them apart. If fewer trials are completed, the other shares are not used.
    folds: into how many the images are split; each finalist is trained once on each. 0 for the study's own split.
    """

    def __init__(self, study: Study, trainings: int = 0, folds: int = 0) -> None:
        self._study = study
        self.trainings = trainings
        self._folds = folds
        self._finalists = trainings // folds if folds else max(2, round(math.sqrt(trainings)))

    @property
    def due(self) -> bool:
        """Whether a repeat is to come."""
        counts = [len(each) for each in self._repeats().values()] if self.trainings else []
        share = self._folds or math.ceil(self.trainings / self._finalists)
        return bool(counts) and sum(counts) < self.trainings and min(counts) < share

    def ready(self, roster: Roster) -> bool:
        """Whether a repeat can be begun now: all other trials have ended."""
        training = any(self._study.record(number).repeats is None for number in roster.running)
        return not (training or roster.waiting) and self.due

    def begin(self, roster: Roster) -> TrialRecord:
        """Begin the next repeat, which is no further trial. Only if one is due."""
        repeats = self._repeats()
        number = min(repeats, key=lambda each: len(repeats[each]))  # of equal ones the best
        trial, record = self._study.trial(number), self._study.record(number)
        count = len(repeats[number]) + 1
        seed = int(record.recipe["seed"]) + SEED_STRIDE * count
        recipe = recipes.build(dict(record.recipe) | {"seed": seed}, where=f"trial {number}")
        provenance = {
            "name": f"trial {number} again, {count}",
            "source": f"with seed {seed}",
            REPEATS: str(number),
        }
        if self._folds:
            fold = Fold(count, self._folds)
            provenance |= {
                "name": f"trial {number} again, fold {fold}",
                "source": f"with seed {seed} on fold {fold} of the images",
                FOLD: str(fold),
            }
        begun = self._study.begin(Proposal(recipe, trial.params, trial.distributions), provenance)
        roster.not_counted.add(begun.number)
        return begun

    def _repeats(self) -> dict[int, list[TrialRecord]]:
        """By finalist, best first: its repeats of this kind so far, those that failed included."""
        records = self._study.records()
        steps = self._study.manifest.max_steps
        completed = [r for r in records if r.state == "completed" and r.repeats is None]
        completed = [r for r in completed if r.recipe["steps"] >= steps]  # others were begun for fewer
        finalists = [record.number for record in by_score(completed)[: self._finalists]]
        alike = [r for r in records if r.repeats is not None and (r.fold.of if r.fold else 0) == self._folds]
        return {number: [r for r in alike if r.repeats == number] for number in finalists}
