"""NewTrials: creates the trials of a search in its study: of the sampler, of seeds, and of shorter trials."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from search_spaces.space import Seed
from tuning.search import history
from tuning.search.known import KnownResults
from tuning.search.roster import Roster
from tuning.search.sampler import Sampler
from tuning.study.fork import FORKS
from tuning.study.study import Study
from tuning.study.trial_record import PROVENANCE, REPEATS, TrialRecord


class NewTrials:
    """Creates trials. The sampler is told of them, and of those of earlier runs.

    seeds: recipes to propose in order, each once in the life of the study, and not before Seed.after other trials.
    known: results of an earlier study, which take the place of training the same recipes again.
    records: the trials of the study so far.
    """

    def __init__(
        self,
        study: Study,
        sampler: Sampler,
        seeds: Sequence[Seed],
        known: KnownResults,
        records: Sequence[TrialRecord],
    ) -> None:
        self._study = study
        self._sampler = sampler
        self._known = known
        known.tried.update(record.recipe_id for record in records if record.fork is None)
        names = {record.provenance.get("name") for record in records}
        self._seeds = [seed for seed in seeds if seed.name not in names]
        for trial in study.trials():
            self.learn(trial)

    def learn(self, trial: FrozenTrial) -> None:
        """Tell the sampler of a trial.

        Not of one that began from the weights of another, since its recipe is not why, and not of one that trains the
        recipe of another again, perhaps on other images.
        """
        if not {FORKS, REPEATS} & trial.user_attrs.get(PROVENANCE, {}).keys():
            self._sampler.learn(trial)

    def proposed(self, roster: Roster) -> TrialRecord | None:
        """The next seed, or a proposal; None for a seed whose recipe was tried under another name."""
        number = len(self._study.trials())
        seed = self._seeds.pop(0) if self._seeds and self._seeds[0].after <= number else None
        proposal = self._sampler.propose(number, seed.params if seed else None)
        recipe_id = proposal.recipe.recipe_id
        if seed and recipe_id in self._known.tried:
            return None
        known = self._known.take(recipe_id)
        if known:
            roster.not_counted.add(number)
        provenance = (seed.provenance if seed else {}) | (known.provenance if known else {})
        record = self._study.begin(proposal, provenance, known.files() if known else [])
        self._sampler.learn(self._study.trial(number))
        return record

    def longer(self, shorter: TrialRecord, steps: int, roster: Roster) -> TrialRecord:
        """A trial with more steps that continues a shorter one from its checkpoint."""
        record = history.continue_longer(self._study, shorter, steps)
        roster.not_counted.add(record.number)
        self._sampler.learn(self._study.trial(record.number))
        return record
