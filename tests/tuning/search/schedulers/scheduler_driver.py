"""Runs a scheduler as a search does, without training: for its contract (test_every_scheduler.py)."""

from __future__ import annotations

import random

from searches import score

from trainers.objective import Score
from tuning.search.population.forking import Forking
from tuning.search.scheduler import Rules, Scheduler
from tuning.study.fork import Fork

RULES = Rules(rungs=(10, 30, 90), reduction_factor=3, quorum=3, seed=4)
TRIALS = 14


def measured(trial: int, step: int) -> Score:
    """What a trial has at a rung: a rising mAP, which half of the trials share with another."""
    draws = random.Random(trial // 2)
    return score(round(draws.random() * step / 90, 3), round(draws.random(), 3), loss=1 + trial / 10)


class Driver:
    """Runs trials one after another as a search does, without training. `told` is all that was decided, in order."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.told: list[tuple[object, ...]] = []
        self.decided: dict[tuple[int, int], str] = {}
        self.waiting: dict[int, int] = {}
        self.forks: dict[int, Fork] = {}

    def run(self, begun: int, until: int) -> None:
        for trial in range(begun, until):
            self._train(trial, 0)
            for hopeless in self.scheduler.hopeless(self.waiting, TRIALS):
                self.told.append(("hopeless", hopeless, self.waiting.pop(hopeless)))
            while self._fork(trial < TRIALS - 1):
                pass
            while (up := self.scheduler.promotable(self.waiting, trial < TRIALS - 1)) is not None:
                self.told.append(("promoted", up, self.waiting[up]))
                self.decided[up, self.waiting[up]] = "continue"
                self.scheduler.promote(up, self.waiting[up])
                self._train(up, self.waiting.pop(up))
                while self._fork(trial < TRIALS - 1):
                    pass

    def _fork(self, more: bool) -> bool:
        fork = self.scheduler.fork(self.waiting, more) if isinstance(self.scheduler, Forking) else None
        if fork is None:
            return False
        new = TRIALS + len(self.forks)
        self.told.append(("forked", new, fork))
        assert self.waiting[fork.of] == fork.step == self.waiting.pop(fork.instead_of)
        self.scheduler.forked(new, fork)
        self.forks[new] = fork
        self._train(new, fork.step)
        return True

    def _train(self, trial: int, step: int) -> None:
        for rung in self.scheduler.rungs_of(trial):
            if rung > step:
                self.scheduler.record(trial, rung, measured(trial, rung))
                judged = self.scheduler.judge(trial, rung)
                self.told.append((trial, rung, judged))
                self.decided[trial, rung] = judged.decision
                if judged.decision == "pause":
                    self.waiting[trial] = rung
                if judged.decision != "continue":
                    return

    def resumed(self, scheduler: Scheduler, order: random.Random) -> Driver:
        """The same with another scheduler, which is told what a study keeps: scores and decisions, in any order."""
        for new, fork in order.sample(sorted(self.forks.items()), len(self.forks)):
            scheduler.forked(new, fork)
        known = sorted(self.decided.items())
        order.shuffle(known)
        for (trial, step), decision in known:
            scheduler.record(trial, step, measured(trial, step))
            if decision == "continue":
                scheduler.promote(trial, step)
        again = Driver(scheduler)
        again.told, again.decided, again.waiting = list(self.told), dict(self.decided), dict(self.waiting)
        again.forks = dict(self.forks)
        return again


def whole(scheduler: Scheduler) -> Driver:
    driver = Driver(scheduler)
    driver.run(0, TRIALS)
    return driver
