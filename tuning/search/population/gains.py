"""Gains: what the trials of a population have gained from rung to rung, with which values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuning.study.trial_record import TrialRecord


@dataclass(frozen=True)
class Gain:
    """What a trial has gained from one rung to the next.

    params: of the trial. began: its step at the first of them, 0 for its start. merit: by which its score rose
    (Score.merit; from its start, above the mean of all trials); None while that is not known.
    """

    params: Mapping[str, Any]
    began: int
    merit: float | None


def gains(records: Iterable[TrialRecord], params: Mapping[int, Mapping[str, Any]], step: int) -> list[Gain]:
    """All gains of a study up to the rung at `step`, and the trials that have begun from checkpoints there.

    So they are the same however many workers train, and after a kill. params: of each trial, by number.
    """
    known = list(records)  # all members are at the rung, so the firsts do not depend on when this is asked
    firsts = [record.rungs[0].score.merit for record in known if record.rungs and record.fork is None]
    level = float(np.mean(firsts)) if firsts else 0.0
    merits = {record.number: {rung.step: rung.score.merit for rung in record.rungs} for record in known}
    found = []
    for record in known:
        began, before = 0, level
        if record.fork is not None:
            began = record.fork.step
            before = merits[record.fork.of][began]
        for rung, merit in merits[record.number].items():
            if rung > step:
                break
            found.append(Gain(params[record.number], began, merit - before))
            began, before = rung, merit
        if record.fork is not None and record.fork.step == step:
            found.append(Gain(params[record.number], step, None))
    return found
