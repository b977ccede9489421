"""Population based training: the worst trials at a rung go on from the weights of the best, with changed recipes.

Jaderberg et al., "Population Based Training of Neural Networks" (2017), with its truncation selection: of the trials of
a model at a rung, the worst quarter is replaced by trials that begin from the checkpoints of the best quarter. All of a
population are judged at a rung together, as with `synch` of Ray's: so who replaces whom depends on scores and the
seed alone, not on the number of workers or who is faster. Each trial takes all its steps; none is stopped without a
successor, so a population costs as much as its members trained to their ends.
"""

from __future__ import annotations

import math
import random
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

from trainers import score_order
from trainers.errors import UserError
from trainers.score_order import Key
from tuning.search.scheduler import Judgement, register
from tuning.search.schedulers.full_training import FullTraining
from tuning.study.fork import Fork

SHARE = 4  # the worst one in so many is replaced by one of the best one in so many
MOST_GENERATIONS = 8


def even_steps(max_steps: int, reduction_factor: int = 1, first_rung: int = 30) -> tuple[int, ...]:
    """Rungs at equal distances, at least two (if max_steps allows) and at most MOST_GENERATIONS, none too early.

    reduction_factor: has no effect. first_rung: see trainers.model.Model.first_rung. Raises UserError as rung_steps.
    """
    if max_steps < 1:
        raise UserError(f"--max-steps must be at least 1, not {max_steps}")
    count = min(max(2, max_steps // max(1, first_rung)), MOST_GENERATIONS)
    return tuple(sorted({math.ceil(max_steps * n / count) for n in range(1, count + 1)}))


@dataclass
class Population(FullTraining):
    """See the module. A tuning.search.population.forking.Forking. seed: of the draws of whose weights are taken."""

    pauses: bool = True
    seed: int = 0
    _began_at: dict[int, int] = field(
        default_factory=dict
    )  # step, of the trials that began from a checkpoint

    def rungs_of(self, trial: int) -> tuple[int, ...]:
        """All rungs after the step at which the trial began."""
        return tuple(rung for rung in self.rungs if rung > self._began_at.get(trial, 0))

    def judge(self, trial: int, step: int) -> Judgement:
        """At each rung but the last, the trial waits for the others."""
        judged = super().judge(trial, step)
        return judged if step >= self.rungs[-1] else replace(judged, decision="pause")

    def forked(self, trial: int, fork: Fork) -> None:
        """Record that the new `trial` has begun so."""
        self._began_at[trial] = fork.step

    def fork(self, waiting: Mapping[int, int], more: bool) -> Fork | None:
        """The next trial to replace, the worst first; by one of the best that wait there, drawn at random."""
        if more or not waiting:
            return None
        step = min(waiting.values())
        scores = self._scores.get(step, {})
        keys = dict(zip(scores, score_order.keys(list(scores.values())), strict=True))
        for ranked in self._ranked(step, keys):
            share = max(1, len(ranked) // SHARE)
            best = [trial for trial in ranked[:share] if waiting.get(trial) == step]
            for trial in reversed(ranked[share:][-share:]):
                better = [each for each in best if keys[each] > keys[trial]]
                if waiting.get(trial) == step and better:
                    return Fork(random.Random(f"{self.seed} {step} {trial}").choice(better), step, trial)
        return None

    def promotable(
        self, waiting: Mapping[int, int], more: bool, preferred: Container[int] = frozenset()
    ) -> int | None:
        """The next of the trials at the lowest rung to train on, once all are there and replaced that are to be."""
        if more or not waiting or self.fork(waiting, more) is not None:
            return None
        lowest = min(waiting.values())
        there = sorted(trial for trial, step in waiting.items() if step == lowest)
        return next((trial for trial in there if trial in preferred), there[0])

    def _ranked(self, step: int, keys: Mapping[int, Key]) -> list[Sequence[int]]:
        """The trials at a rung, of each model by itself since models learn at different speeds; best first."""
        by_model: dict[str, list[int]] = {}
        for trial, score in sorted(self._scores.get(step, {}).items()):
            by_model.setdefault(score.model, []).append(trial)
        return [
            sorted(trials, key=lambda trial: keys[trial], reverse=True)
            for _, trials in sorted(by_model.items())
        ]


for _name in ("pbt", "pb2"):  # they differ in how a recipe is changed (tuning.search.population)
    register(_name, lambda rules: Population(rules.rungs, seed=rules.seed), even_steps)
