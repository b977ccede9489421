"""Reserve: keeps so much of a budget that the foremost unfinished trial can take all its steps.

A search that spends its last minute on new trials ends with nothing that can be used. So before anything is begun, what
is left must pay for it and for the rest of the foremost trial. If it does not, that trial is finished first. Once a new
trial could not be finished any more, trials that wait are, the foremost first, as long as there is enough for one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from trainers import score_order
from tuning.search.limits.budget import Spending
from tuning.search.limits.pace import Cost, Pace, relative_cost, total
from tuning.search.roster import Roster
from tuning.search.scheduler import Scheduler
from tuning.study.study import Study
from tuning.study.trial_record import TrialRecord

MARGIN = 1.15  # by so much the rest of a trial may take longer than estimated


class Stage(NamedTuple):
    """What could be begun next: training to the next rung.

    trial: its number; None for a new one. at: the step that it starts from.
    begin: begins it, and returns it if a worker is to train it.
    last: whether it is one of the trainings that the search ends with.
    """

    trial: int | None
    at: int
    begin: Callable[[], TrialRecord | None]
    last: bool = False


class Decision(NamedTuple):
    """What to do instead of a stage; both None: begin it.

    finish: the trial to finish first, which waits or is running. limit: the flag of the limit that does not pay.
    """

    finish: int | None = None
    limit: str | None = None


class Reserve:
    """Decides what the rest of the budget is spent on.

    records: trials of the study, which tell what training costs. A time limit is each worker's own: what one spends
    takes nothing from another. The other limits are shared by all.
    last: full trainings that the search is to end with (tuning.search.confirmation).
    """

    def __init__(
        self,
        study: Study,
        scheduler: Scheduler,
        spending: Spending,
        records: Iterable[TrialRecord],
        last: int = 0,
    ) -> None:
        self._study = study
        self._scheduler = scheduler
        self._spending = spending
        self._pace = Pace(records)
        self._last = last

    def learn(self, record: TrialRecord) -> None:
        """Take in what training to the trial's last rung has cost."""
        self._pace.learn(record)

    def decide(self, stage: Stage, roster: Roster) -> Decision:
        """Whether `stage` may begin, or what else to do."""
        spending = self._spending
        if not spending.limited:
            return Decision()
        waiting, live = roster.waiting | roster.interrupted, roster.steps(self._study)
        full = self._pace.cost([0, *self._scheduler.rungs])
        following = self._to_next_rung(stage.trial, stage.at)
        if stage.last:
            ends = total([full, *(self._to_the_end(number, step) for number, step in live.items())])
            return Decision(limit=spending.lacks_time(full.seconds) or spending.lacks(ends))
        running = {number: self._to_next_rung(number, step) for number, step in live.items()}
        last = Cost(self._last * full.steps, self._last * full.seconds)
        last_seconds = math.ceil(self._last / (1 + len(live))) * full.seconds  # of each worker

        def lacks_time(cost: Cost) -> str | None:
            return spending.lacks_time(cost.seconds + last_seconds)

        def lacks(cost: Cost, but: int | None = None) -> str | None:
            """Beside what is running, but for one trial."""
            return spending.lacks(total([cost, last, *(running[n] for n in running if n != but)]))

        enough = total([following, full, Cost(0, (MARGIN - 1) * full.seconds)])
        if not (lacks_time(enough) or lacks(enough)):
            return Decision()
        rungs = waiting | {number: self._study.record(number).step for number in live}
        for among, shared in ((waiting, False), (waiting | live, True)):
            ends_of = {number: self._to_the_end(number, step) for number, step in among.items()}
            rest = {n: cost for n, cost in ends_of.items() if not (lacks_time(cost) or lacks(cost, but=n))}
            first = self._foremost({number: rungs[number] for number in rest}, rest, roster.completed)
            if first is None or first == stage.trial:
                continue
            cost = Cost(rest[first].steps, MARGIN * rest[first].seconds).plus(following)
            if lacks(cost, but=first) if shared else lacks_time(cost):
                return Decision(finish=first)
        if stage.trial is None and stage.at == 0 and (lacks_time(full) or lacks(full)):
            # a new trial could not be finished any more, and one that waits may still be the best in the end
            ends_of = {number: self._to_the_end(number, step) for number, step in waiting.items()}
            able = {n: waiting[n] for n, cost in ends_of.items() if not (lacks_time(cost) or lacks(cost))}
            if measured := {n: step for n, step in able.items() if self._study.record(n).rungs}:
                return Decision(finish=self._scheduler.foremost(measured))
        return Decision(limit=lacks_time(following) or lacks(following))

    def _foremost(
        self, rungs: Mapping[int, int], rest: Mapping[int, Cost], completed: Collection[int]
    ) -> int | None:
        """The trial to finish, of those that the budget can finish; None if none is worth it.

        rungs: the step of the last rung by trial, 0 for none. rest: what is left to pay for each.
        """
        done = [self._study.record(number) for number in completed]
        known = {number for number in rungs if self._study.record(number).rungs}
        measured = {n: step for n, step in rungs.items() if n in known and self._promising(n, done)}
        if measured:
            return self._scheduler.foremost(measured)
        unmeasured = [number for number in rungs if number not in known]
        return min(unmeasured, key=lambda n: (rest[n].steps, n)) if unmeasured and not completed else None

    def _promising(self, number: int, completed: Collection[TrialRecord]) -> bool:
        """Whether no completed trial was better at the trial's last rung."""
        own = self._study.record(number).rungs[-1]
        there = [rung.score for record in completed for rung in record.rungs if rung.step == own.step]
        *others, key = score_order.keys([*there, own.score])
        return all(key > other for other in others)

    def _to_next_rung(self, trial: int | None, step: int) -> Cost:
        rungs = self._scheduler.rungs if trial is None else self._scheduler.rungs_of(trial)
        return self._cost(trial, [step, *(rung for rung in rungs if rung > step)][:2])

    def _to_the_end(self, trial: int, step: int) -> Cost:
        return self._cost(trial, [step, *(rung for rung in self._scheduler.rungs_of(trial) if rung > step)])

    def _cost(self, trial: int | None, steps: list[int]) -> Cost:
        if trial is None:
            return self._pace.cost(steps)
        record = self._study.record(trial)
        return self._pace.cost(steps, record.model, trial, relative_cost(record))
